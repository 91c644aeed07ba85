"""A server whose streams fail, in each format but OpenAI's chat, which the scripted server speaks.

The faults are those of a scripted provider (`stream_faults.py`), played around the events of that API.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Any

import msgspec
from aiohttp import web

from meshd.connectors.providers.scripted import script
from meshd.connectors.providers.scripted.script import Fault, Step
from tests.support.providers.servers.in_thread import ProviderInThread
from tests.support.providers.vendors.six_apis import format_of, model_of, section, spoken
from tests.support.providers.vendors.three_apis import Asked, Json, Said

PATHS = {
    "anthropic": "/v1/messages",
    "responses": "/v1/responses",
    "gemini": "/v1beta/models/{model}:streamGenerateContent",
    "cohere": "/v2/chat",
    "bedrock": "/model/{model}/converse-stream",
}
_BEFORE = {"anthropic": 3, "responses": 3, "gemini": 0, "cohere": 3, "bedrock": 1}
"""The events before the first piece of a text that begins an answer."""
_AT_ONCE = (Fault.EMPTY, Fault.RESET)  # before any event, unless some text comes first


def behind(format: str, said: Said, part: str, *, last: bool = False) -> int:
    """`after` for a fault behind the first event, or the last, that has this in it."""
    asked = Asked(PATHS[format].replace("{model}", "m"), {}, b'{"model": "m", "stream": true}')
    events, _ = spoken(asked, said)
    found = [number for number, event in enumerate(events, 1) if part.encode() in event]
    return found[-1 if last else 0] - _BEFORE[format]


class FaultyApis(ProviderInThread):
    """models: by its name, what it says and the step that it takes; `after`: pieces of its text, then other events,
    before the fault; `raw`: bytes as Latin-1."""

    cancels = True

    def __init__(self, models: dict[str, tuple[Said, Json]]) -> None:
        self._models = {name: (said, msgspec.convert(step, Step)) for name, (said, step) in models.items()}
        super().__init__()

    def speaking(self, format: str, **settings: Any) -> Json:
        """Its section in a configuration."""
        return section(f"http://127.0.0.1:{self.port}", format, **settings)

    def application(self) -> web.Application:
        application = web.Application()
        for path in PATHS.values():
            application.router.add_post(path, self._answer)
        return application

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        asked = Asked(request.path, {}, await request.read())
        said, step = self._models[model_of(asked)]
        if step.fault is Fault.HTML and not step.after:
            return web.Response(body=script.HTML_PAGE, content_type="text/html")
        events, kind = spoken(asked, said)
        begun = 0 if step.fault in _AT_ONCE and not step.after else _BEFORE[format_of(asked)] + step.after
        response = web.StreamResponse(headers={"content-type": kind})
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(b"".join(events[:begun]))
        if step.fault is not None and await _broken(request, response, step):
            return response
        rest = b"".join(events[begun:])
        if step.byte_delay:
            for byte in rest:
                await response.write(bytes([byte]))
                await asyncio.sleep(step.byte_delay_seconds)
        else:
            await response.write(rest)
        await response.write_eof()
        return response


async def _broken(request: web.Request, response: web.StreamResponse, step: Step) -> bool:
    """Whether the fault ended the stream."""
    assert request.transport is not None
    match step.fault:
        case Fault.BAD_CHUNK:
            await response.write(script.event(script.BROKEN_CHUNK))
            return False
        case Fault.PAUSE:
            await asyncio.sleep(step.pause_seconds)
            return False
        case Fault.SILENCE:
            await asyncio.Event().wait()
        case Fault.CUT_CHUNK:
            request.transport.write(b"400\r\ndata: " + script.BROKEN_CHUNK)
            request.transport.close()
            return True
        case Fault.RESET:
            with contextlib.suppress(OSError):
                linger = struct.pack("ii", 1, 0)
                request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            request.transport.abort()
            return True
        case Fault.ENDLESS:
            await response.write(b'data: {"type":"')
            while True:
                await response.write(b"x" * 65536)
                await asyncio.sleep(0)
        case Fault.BAD_END:
            await response.write(script.event(script.BROKEN_CHUNK))
        case Fault.ERROR_EVENT:
            await response.write(script.error_event(step))
        case Fault.RAW:
            await response.write(step.raw.encode("latin-1"))
        case Fault.HTML:
            await response.write(script.HTML_PAGE)
    await response.write_eof()
    return True
