"""The three APIs, and Gemini's, Cohere's and Bedrock's chats beside them: one server behind members of six formats.

Shapes: see `tests/support/answers`. Keys, lists and refusals of each API are checked where it has a server of its own.
"""

from __future__ import annotations

import json
import re
from typing import Any

from tests.support.answers.spoken import written
from tests.support.providers.vendors.three_apis import Asked, Json, Refused, Said, ThreeApis

_OTHERS = {
    "gemini": ("gemini-compatible.v1", "/v1beta"),
    "cohere": ("cohere.nlp.v1", ""),
    "bedrock": ("aws.bedrock.v1", ""),
}
_PATHS = {
    "/v1/chat/completions": "openai",
    "/v1/messages": "anthropic",
    "/v1/responses": "responses",
    "/v2/chat": "cohere",
}
_MODEL_IN_PATH = re.compile(
    r"/(?:v1(?:beta)?/models/(?P<gemini>[^/:]+):(?:stream)?[gG]enerateContent"
    r"|model/(?P<bedrock>[^/]+)/converse(?:-stream)?)(?:\?.*)?"
)
_WRITTEN_AS = {"gemini": "/v1beta/models/{model}:generateContent", "bedrock": "converse"}
_STREAMED_AS = {"gemini": "text/event-stream", "bedrock": "application/vnd.amazon.eventstream"}


def format_of(asked: Asked) -> str:
    """Of the API that was asked for a conversation, or ""."""
    if found := _MODEL_IN_PATH.fullmatch(asked.path):
        return str(found.lastgroup)
    return _PATHS.get(asked.path.partition("?")[0], "")


def model_of(asked: Asked) -> str:
    found = _MODEL_IN_PATH.fullmatch(asked.path)
    return found[str(found.lastgroup)] if found else str(asked.body["model"])


def section(url: str, speaks: str, **settings: Any) -> Json:
    """Of a configuration: a provider of that format at a server. url: without a path."""
    connector, path = _OTHERS.get(speaks, (f"{speaks}-compatible.v1", "/v1"))
    return {"connector": connector, "base_url": url + path, "api_key": "k-test-0123456789abcdef", **settings}


def spoken(asked: Asked, said: Said) -> tuple[list[bytes], str]:
    """An answer in the format of the API that was asked: the body in pieces, and its type."""
    format = format_of(asked)
    stream = "stream" in asked.path or bool(asked.body.get("stream"))
    request = {**asked.body, "model": model_of(asked), "stream": stream}
    path = _WRITTEN_AS.get(format, asked.path.partition("?")[0])
    return written(path, request, said), _STREAMED_AS.get(format, "text/event-stream") if stream else "application/json"


class SixApis(ThreeApis):
    def provider(self, speaks: str, **settings: Any) -> Json:
        return section(self.url, speaks, **settings)

    def respond(self, asked: Asked) -> tuple[int, Json, list[bytes], bool]:
        format = format_of(asked)
        if format not in _WRITTEN_AS:
            return super().respond(asked)
        answer = self.answer(asked) if callable(self.answer) else self.answer
        if isinstance(answer, Refused):
            return answer.status, answer.headers, [json.dumps(answer.body).encode()], False
        pieces, kind = spoken(asked, answer)
        if answer.cut is not None:
            pieces = pieces[: answer.cut] if "stream" in asked.path else [pieces[0][: len(pieces[0]) // 2]]
        return 200, {"content-type": kind, **self.headers}, pieces, answer.cut is not None
