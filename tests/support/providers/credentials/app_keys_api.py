"""An API of OpenAI's and of Anthropic's form that each app has a key of its own for, and that repeats it in errors."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from tests.support.providers.servers.in_thread import ProviderInThread

_KEYS = ("authorization", "x-api-key", "x-goog-api-key", "api-key", "cookie")


class AppKeysApi(ProviderInThread):
    """accepted: bare keys. limited: those that get 429. seen: (path, headers that may hold a key) of each request."""

    def __init__(self, *accepted: str) -> None:
        self.accepted = set(accepted)
        self.limited: set[str] = set()
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.agents: set[str] = set()
        super().__init__()

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/messages", self._messages)
        app.router.add_route("*", "/v1/{rest:.*}", self._other)
        return app

    def _refusal(self, request: web.Request) -> web.Response | None:
        given = {name: value for name in _KEYS if (value := request.headers.get(name))}
        self.seen.append((request.path, given))
        self.agents.add(request.headers.get("User-Agent", ""))
        bare = [value.removeprefix("Bearer ") for value in given.values()]
        said = f"what is {' and '.join(given.values())}?"
        if any(key in self.limited for key in bare):
            body: dict[str, Any] = {"message": f"slower: {said}", "code": "rate_limit_exceeded"}
            return web.json_response({"error": body}, status=429, headers={"retry-after": "3600"})
        if not any(key in self.accepted for key in bare):
            body = {"message": f"Incorrect API key provided: {said}", "code": "invalid_api_key"}
            return web.json_response({"error": body}, status=401)
        return None

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if refusal := self._refusal(request):
            return refusal
        if body.get("stream"):
            return await self._streamed(request, breaks=body["model"] == "n")
        content = f"by {len(self.seen)}"
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        answer = {"id": "x", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice]}
        limits = {"x-ratelimit-limit-requests": "100", "x-ratelimit-remaining-requests": "0"}
        return web.json_response({**answer, "usage": usage}, headers={**limits, "x-ratelimit-reset-requests": "1h"})

    async def _streamed(self, request: web.Request, *, breaks: bool) -> web.StreamResponse:
        """breaks: an error that repeats the key comes after the first words."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        first = {"index": 0, "delta": {"role": "assistant", "content": "begun"}, "finish_reason": None}
        last = {"index": 0, "delta": {}, "finish_reason": "stop"}
        events: list[Any] = [{**head, "choices": [first]}]
        said = f"what is {request.headers['authorization']}?"
        events.append({"error": {"message": said}} if breaks else {**head, "choices": [last]})
        lines = [f"data: {json.dumps(event)}\n\n" for event in events]
        await response.write("".join([*lines, "data: [DONE]\n\n"]).encode())
        return response

    async def _messages(self, request: web.Request) -> web.Response:
        body = await request.json()
        if refusal := self._refusal(request):
            return refusal
        text = [{"type": "text", "text": f"by {len(self.seen)}"}]
        usage = {"input_tokens": 1, "output_tokens": 1}
        head = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"]}
        return web.json_response({**head, "content": text, "stop_reason": "end_turn", "usage": usage})

    async def _other(self, request: web.Request) -> web.Response:
        await request.read()
        return self._refusal(request) or web.json_response({"path": request.path})
