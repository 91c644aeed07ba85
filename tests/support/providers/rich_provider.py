"""A provider over HTTP that answers with everything the OpenAI API has in an answer, and always the same."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.support.providers.servers.local_server import LocalServer

CREATED = 1_700_000_000
USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 7,
    "total_tokens": 16,
    "prompt_tokens_details": {"cached_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
TOKEN = {"token": "Hi", "bytes": [72, 105], "logprob": -0.1, "top_logprobs": [{"token": "Ho", "logprob": -2.5}]}
RATE_HEADERS = {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "59", "openai-version": "2020"}
NAMED = '{"name": "Ada", "age": 36}'


def _message(asked: dict[str, Any]) -> dict[str, Any]:
    if asked.get("tools"):
        return {"role": "assistant", "content": None, "tool_calls": [CALL]}
    if (asked.get("response_format") or {}).get("type") in ("json_schema", "json_object"):
        return {"role": "assistant", "content": NAMED}
    extra = {
        "reasoning_content": "Because.",
        "reasoning_details": [{"type": "reasoning.text", "text": "Because.", "index": 0}],
        "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
    }
    place = {"url": "http://x", "title": "X", "start_index": 0, "end_index": 1}
    cited = {"type": "url_citation", "url_citation": place}
    return {"role": "assistant", "content": "Hello, Größe 🎈", "refusal": None, "annotations": [cited], **extra}


def completion(asked: dict[str, Any]) -> dict[str, Any]:
    message = _message(asked)
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    choices = [
        {"index": index, "finish_reason": finish, "message": message, "logprobs": {"content": [TOKEN], "refusal": None}}
        for index in range(asked.get("n") or 1)
    ]
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": CREATED, "model": "m-2026"}
    note = {"region": ["eu"], "zone": None}
    return {**head, "choices": choices, "usage": USAGE, "system_fingerprint": "fp_1", "provider_note": note}


def chunks(asked: dict[str, Any]) -> list[dict[str, Any]]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": CREATED, "model": "m-2026"}
    message = _message(asked)
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if message.get("tool_calls"):
        deltas.append({"tool_calls": [{**CALL, "index": 0, "function": {"name": "weather", "arguments": ""}}]})
        parts = ('{"city": ', '"Paris"}')
        deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": part}}]} for part in parts]
    else:
        if "reasoning_content" in message:
            deltas.append({"reasoning_content": "Because."})
        deltas += [{"content": part} for part in message["content"].partition(" ") if part]
    told = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    if asked.get("logprobs"):
        for chunk in told:
            chunk["choices"][0]["logprobs"] = {"content": [TOKEN], "refusal": None}
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    told.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    if (asked.get("stream_options") or {}).get("include_usage"):
        told.append({**head, "choices": [], "usage": USAGE})
    return told


def text_completion(asked: dict[str, Any]) -> dict[str, Any]:
    choice = {"index": 0, "text": "once upon", "finish_reason": "length", "logprobs": None}
    head = {"id": "cmpl-1", "object": "text_completion", "created": CREATED, "model": "m-2026"}
    return {**head, "choices": [choice], "usage": {name: USAGE[name] for name in list(USAGE)[:3]}}


def embeddings(asked: dict[str, Any]) -> dict[str, Any]:
    texts = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
    data = [{"object": "embedding", "index": at, "embedding": [0.5, -0.25, 0.125 * at]} for at in range(len(texts))]
    return {"object": "list", "model": "m-2026", "data": data, "usage": {"prompt_tokens": 2, "total_tokens": 2}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._send(200, {"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "us"}]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if "fail" in str(asked.get("user")):
            status = int(asked["user"].rpartition(" ")[2])
            error = {"message": f"refused by {status}", "type": "odd_error", "param": "user", "code": "odd_code"}
            self._send(status, {"error": error}, {"retry-after": "0.01"})
        elif asked.get("user") == "back":
            answer = completion({})
            answer["choices"][0]["message"]["content"] = json.dumps({**asked, "model": "m"})
            self._send(200, answer)
        elif "/embeddings" in self.path:
            self._send(200, embeddings(asked))
        elif "/chat/completions" not in self.path:
            self._send(200, text_completion(asked))
        elif asked.get("stream"):
            lines = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks(asked)) + "data: [DONE]\n\n"
            self._send(200, lines.encode(), {"content-type": "text/event-stream"})
        else:
            self._send(200, completion(asked), RATE_HEADERS)

    def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        pass


def rich_provider() -> LocalServer:
    return LocalServer(_Handler)
