"""All services on one port, each below its name: `/tavily/search`. A query or text says what goes wrong.

Words that make a service fail, wherever they stand in what it is asked: `tavily:429`, the status, with the body that
the service documents for it; `tavily:page`: a web page; `tavily:empty`: a JSON object with nothing in it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.providers.servers.in_thread import ProviderInThread

KEY = "svc-test-0123456789abcdef"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Failure = Callable[[int], web.Response]
_WRONG = re.compile(rb"([a-z-]+)(?::|%3A)(\d{3}|page|empty)")


@dataclass
class LocalService:
    """routes: "METHOD path" → what answers it. failure: the body of a status. header, scheme: where the key has to
    be."""

    name: str
    routes: Mapping[str, Handler]
    failure: Failure
    header: str = "Authorization"
    scheme: str = "Bearer "
    keyless: bool = False
    unauthorized: int = 401
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Sent:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class ServicesServer(ProviderInThread):
    """sent: each request, by service."""

    cancels = True

    def __init__(self, *services: LocalService) -> None:
        self.sent: dict[str, list[Sent]] = {service.name: [] for service in services}
        self._services = services
        super().__init__()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"

    def provider(self, connector: str, **settings: Any) -> dict[str, Any]:
        """Its section in a configuration; the last part of its service's path is its name."""
        return {"connector": connector, "api_key": KEY, **settings}

    def application(self) -> web.Application:
        app = web.Application(client_max_size=10**8)
        for service in self._services:
            for route, handler in service.routes.items():
                method, _, path = route.partition(" ")
                app.router.add_route(method, f"/{service.name}{path}", self._handled(service, handler))
        return app

    def _handled(self, service: LocalService, handler: Handler) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            path = request.path.removeprefix(f"/{service.name}")
            self.sent[service.name].append(Sent(request.method, path, request.query, request.headers, body))
            if not service.keyless and request.headers.get(service.header) != f"{service.scheme}{KEY}":
                return service.failure(service.unauthorized)
            wrong = _WRONG.search(body + request.raw_path.encode())
            if wrong is not None and wrong[1].decode() == service.name:
                return _wrong(service, wrong[2].decode())
            answer = await handler(request)
            if not answer.prepared:
                answer.headers.update(service.headers)
            return answer

        return handle


def _wrong(service: LocalService, what: str) -> web.Response:
    if what == "page":
        return web.Response(text="<!doctype html><html>maintenance</html>", content_type="text/html")
    return web.json_response({}) if what == "empty" else service.failure(int(what))
