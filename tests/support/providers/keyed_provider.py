"""An upstream that looks at the key it is asked with: which ones it takes can change at any moment."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from typing import Any

from aiohttp import web

_USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


class KeyedProvider:
    """Answers `delay` seconds later whoever has one of the `accepted` keys, and refuses the others with `status`.
    guarded: also those who ask for its list of models."""

    def __init__(self, *accepted: str, delay: float = 0.02, status: int = 401, guarded: bool = False) -> None:
        self.accepted = set(accepted)
        self.guarded = guarded
        self.delay = delay
        self.status = status
        self.asked: Counter[str] = Counter()
        self.refused = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(20)

    def provider(self, **settings: Any) -> dict[str, Any]:
        return {"connector": "openai-compatible.v1", "base_url": f"http://127.0.0.1:{self.port}/v1", **settings}

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        runner = self._loop.run_until_complete(self._open())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _open(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._models)
        runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=512)
        await site.start()
        self.port = runner.addresses[0][1]
        return runner

    def _key(self, request: web.Request) -> str:
        return request.headers.get("Authorization", "").removeprefix("Bearer ")

    async def _models(self, request: web.Request) -> web.Response:
        if self.guarded and self._key(request) not in self.accepted:
            return self._refusal()
        return web.json_response({"object": "list", "data": []})

    def _refusal(self) -> web.Response:
        error = {"message": "Incorrect API key provided", "code": "invalid_api_key"}
        return web.json_response({"error": error}, status=self.status)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        key = self._key(request)
        self.asked[key] += 1
        if key not in self.accepted:
            self.refused += 1
            return self._refusal()
        await asyncio.sleep(self.delay)
        head = {"id": "x", "created": 1, "model": "m"}
        if not body.get("stream"):
            message = {"role": "assistant", "content": "hi"}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            return web.json_response({**head, "object": "chat.completion", "choices": [choice], "usage": _USAGE})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for delta, finish in (({"role": "assistant", "content": "hi"}, None), ({}, "stop")):
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            chunk = {**head, "object": "chat.completion.chunk", "choices": [choice]}
            await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        await response.write(b"data: [DONE]\n\n")
        return response
