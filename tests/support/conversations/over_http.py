"""Conversations by each API over HTTP: where an app sends a request, and what its answer's payloads are."""

from __future__ import annotations

import json

import httpx

from tests.support.conversations import told
from tests.support.formats.openai_chats import Json

PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages", "responses": "/v1/responses"}


def request(api: str, model: str, body: Json, *, stream: bool) -> tuple[str, Json]:
    """The path and the body. Usage is asked for."""
    if api == "gemini":
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/v1beta/models/{model}:{method}", body
    more: Json = {"stream_options": {"include_usage": True}} if stream and api == "openai" else {}
    return PATHS[api], {**body, **more, "model": model, "stream": stream}


def answered(client: httpx.Client, api: str, model: str, body: Json, *, stream: bool) -> Json:
    """The answer, which a stream's payloads make up. Fails if there is none."""
    path, sent = request(api, model, body, stream=stream)
    answer = client.post(path, json=sent)
    assert answer.status_code == 200, answer.text
    if not stream:
        found: Json = answer.json()
        return found
    lines = answer.text.replace("\r\n", "\n").split("\n")
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return told.streamed(api, [json.loads(each) for each in data if each != "[DONE]"])
