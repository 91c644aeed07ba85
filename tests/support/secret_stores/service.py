"""What the services share: values, tokens, and the ways in which one fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from tests.support.providers.servers.in_thread import ProviderInThread

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
TOKEN = "t0ken-of-the-store-0"


class SecretService(ProviderInThread):
    """values: name → value. tokens: those that count. fault: "" or what it does instead of answering: `hangs`, `dies`
    (closes the connection), `fails` (503), `full` (507), `limits` (429), `rambles` (sends no JSON), `floods` (sends too
    much); or `slow`: it answers after half a second.
    asked: method and path of each request. refusing: the status for a request without a token that counts."""

    cancels = True
    refusing = 401

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.tokens = {TOKEN}
        self.fault = ""
        self.asked: list[str] = []
        super().__init__()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}" if self.tls is None else f"https://localhost:{self.port}"

    def add_routes(self, router: web.UrlDispatcher) -> None:
        raise NotImplementedError

    def is_open(self, request: web.Request) -> bool:
        """Whether it needs no token."""
        return False

    def token_of(self, request: web.Request) -> str:
        return request.headers.get("Authorization", "").removeprefix("Bearer ")

    def refusal(self, request: web.Request) -> web.Response:
        return web.json_response({"error": {"code": self.refusing, "message": "not allowed"}}, status=self.refusing)

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._gate])
        self.add_routes(app.router)
        return app

    @web.middleware
    async def _gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path}")
        if self.fault == "hangs":
            await asyncio.sleep(600)
        if self.fault == "slow":
            await asyncio.sleep(0.5)
        if self.fault == "dies":
            assert request.transport is not None
            request.transport.abort()
        if self.fault == "fails":
            return web.Response(status=503, text="down")
        if self.fault == "full":
            return web.Response(status=507, text="no space left on device")
        if self.fault == "limits":
            return web.Response(status=429, text="slow down", headers={"Retry-After": "3600"})
        if self.fault == "rambles":
            return web.Response(text="<html>sign in</html>", content_type="text/html")
        if self.fault == "floods":
            return web.Response(body=b"[" + b"1," * (1 << 20))
        if not self.is_open(request) and self.token_of(request) not in self.tokens:
            return self.refusal(request)
        return await handler(request)


def not_found(**body: Any) -> web.Response:
    return web.json_response(body or {"error": {"code": 404, "message": "not found"}}, status=404)
