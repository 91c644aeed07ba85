"""A provider's own API, which answers everything: what it was asked, files, streams, and errors that repeat its key."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from tests.support.providers.servers.in_thread import ProviderInThread

KEY = "sk-of-the-daemon-4711-0815"
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
PIECE = b"x" * 65536


class OwnApi(ProviderInThread):
    """asked: (method, path with query, headers, body) of each request. sent: bytes of the endless answer that have been
    taken off its hands. open: endless answers that have not ended. taken: bytes of the upload to `/v1/upload`;
    uploads: how many have not ended."""

    cancels = True

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.sent = 0
        self.open = 0
        self.taken = 0
        self.uploads = 0
        super().__init__()

    def provider(self, **settings: Any) -> dict[str, Any]:
        return super().provider(**{"api_key": KEY, **settings})

    def application(self) -> web.Application:
        app = web.Application(client_max_size=10**8)
        app.router.add_route("*", "/v1/endless", self._endless)
        app.router.add_route("*", "/v1/cut", self._cut)
        app.router.add_route("*", "/v1/events", self._events)
        app.router.add_route("*", "/v1/upload", self._upload)
        app.router.add_route("*", "/v1/both", self._both)
        app.router.add_route("*", "/v1/unread", self._unread)
        app.router.add_route("*", "/v1/{rest:.*}", self._any)
        return app

    async def _any(self, request: web.Request) -> web.Response:
        body, headers = await request.read(), {name.lower(): value for name, value in request.headers.items()}
        self.asked.append((request.method, request.raw_path, headers, body))
        what = request.match_info["rest"]
        said = {"x-request-id": "theirs", "x-ratelimit-remaining-requests": "3", "set-cookie": "a=b", "x-kept": "yes",
                "x-leak": KEY}  # fmt: skip
        if what == "models":
            return web.json_response({"data": []})
        if what == "file":
            return web.Response(body=b"\x00\xff" * 1000, content_type="audio/mpeg", headers=said)
        if what == "nothing":
            return web.Response(status=204, headers=said)
        if what == "refused":
            told = {"error": {"message": f"Incorrect API key provided: {KEY}.", "type": "x", "code": "bad_key"}}
            return web.json_response(told, status=401)
        if what == "moved":
            return web.Response(status=307, headers={"location": "http://elsewhere.example/"})
        return web.json_response({"echo": body.decode("latin-1")[:100], "usage": USAGE}, headers=said)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for event in ({"n": 1}, {"n": 2, "usage": USAGE}):
            await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        await response.write(b"data: [DONE]\n\n")
        return response

    async def _endless(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        self.open += 1
        try:
            while True:
                await response.write(PIECE)
                self.sent += len(PIECE)
        finally:
            self.open -= 1

    async def _upload(self, request: web.Request) -> web.Response:
        self.taken = 0
        self.uploads += 1
        try:
            async for data in request.content.iter_any():
                self.taken += len(data)
        finally:
            self.uploads -= 1
        return web.json_response({"taken": self.taken, "length": request.headers.get("content-length")})

    async def _both(self, request: web.Request) -> web.StreamResponse:
        """Its answer comes while the request does."""
        response = web.StreamResponse()
        await response.prepare(request)
        async for data in request.content.iter_any():
            await response.write(data.upper())
        return response

    async def _unread(self, request: web.Request) -> web.Response:
        return web.json_response({"error": {"message": "no", "code": "too_big"}}, status=403)

    async def _cut(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return response
