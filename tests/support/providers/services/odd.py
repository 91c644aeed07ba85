"""A service that no provider has, and its server: for what all services can do.

`/speech` is a file in pieces, `/flaky` fails twice, `/jobs` a job that is never done, `/redirected` an answer that
names an address.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from meshd.services.seam import Ask, Asked, Begun, Result, Service, Steps, Wait
from tests.support.providers.servers.in_thread import ProviderInThread

SOUND = bytes(range(256)) * 1000


def speak(asked: Asked) -> Steps:
    yield Ask("POST", "speech", json={"input": asked.fields["input"]}, piped=True)
    return Result(units={"characters": len(asked.fields["input"])})


def moderate(asked: Asked) -> Steps:
    """What it is asked for is the path."""
    what = asked.fields["input"]
    if what == "jobs":
        yield Ask("POST", "jobs")
        yield Begun(Ask("DELETE", "jobs/1"))
        while True:
            yield Wait(0.01)
            yield Ask("GET", "jobs/1")
    if what.startswith("http"):
        told = yield Ask("GET", url=what)
    else:
        told = yield Ask("GET", what, again=2, most=1000)
    return Result({"results": [{"flagged": False, "said": told.body.decode()}]})


ODD = Service({"audio.speech": speak, "moderations": moderate})


class OddServer(ProviderInThread):
    """asked: (method, path, key) of each request."""

    cancels = True

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self._flaws = 0
        super().__init__()

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/v1/{what:.*}", self._any)
        return app

    async def _any(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path, request.headers.get("Authorization", "")))
        match request.match_info["what"]:
            case "speech":
                return await self._speech(request)
            case "flaky":
                self._flaws += 1
                status = 200 if self._flaws > 2 else 503
                return web.json_response({"tries": self._flaws}, status=status)
            case "large":
                return web.Response(body=b"x" * 2000)
            case "own":
                return web.json_response({"message": "Quota Exceeded"}, status=456)
        return web.json_response({"status": "running"})

    async def _speech(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "audio/mpeg"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        for at in range(0, len(SOUND), 50_000):
            await response.write(SOUND[at : at + 50_000])
            await asyncio.sleep(0)
        await response.write_eof()
        return response
