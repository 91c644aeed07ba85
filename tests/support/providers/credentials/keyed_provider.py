"""An upstream that looks at the key it is asked with: which ones it takes can change at any moment."""

from __future__ import annotations

import asyncio
from collections import Counter

from aiohttp import web

from tests.support.providers.credentials.chat_answer import chat_answer
from tests.support.providers.servers.in_thread import ProviderInThread


class KeyedProvider(ProviderInThread):
    """Answers `delay` seconds later whoever has one of the `accepted` keys, and refuses the others with `status`.
    guarded: also those who ask for its list of models."""

    backlog = 512

    def __init__(self, *accepted: str, delay: float = 0.02, status: int = 401, guarded: bool = False) -> None:
        self.accepted = set(accepted)
        self.guarded = guarded
        self.delay = delay
        self.status = status
        self.asked: Counter[str] = Counter()
        self.refused = 0
        super().__init__()

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._models)
        return app

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
        await request.read()
        key = self._key(request)
        self.asked[key] += 1
        if key not in self.accepted:
            self.refused += 1
            return self._refusal()
        await asyncio.sleep(self.delay)
        return await chat_answer(request)
