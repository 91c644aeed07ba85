"""A service that others answer for, with a way to fail of its own."""

from __future__ import annotations

import aiohttp
from aiohttp import web

from tests.support.secret_stores.service import SecretService

_OWN = ("host", "content-length", "connection", "transfer-encoding", "content-encoding", "server", "date")


class Front(SecretService):
    """behind: the address of the server that answers."""

    def __init__(self, behind: str) -> None:
        self._behind = behind
        super().__init__()

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_route("*", "/{path:.*}", self._passed_on)

    def is_open(self, request: web.Request) -> bool:
        return True

    async def _passed_on(self, request: web.Request) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OWN}
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                request.method, self._behind + request.path_qs, data=await request.read(), headers=headers
            ) as answer,
        ):
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _OWN}
            return web.Response(body=await answer.read(), status=answer.status, headers=kept)
