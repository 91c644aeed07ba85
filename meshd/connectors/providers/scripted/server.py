"""A real HTTP server that answers from a script: `python -m meshd.connectors.providers.scripted.server`.

Owns: the OpenAI endpoints of a scripted upstream, and faults on the real socket (RST, cut chunks, silence).
Must never: be reachable from another machine; it listens on loopback.

It prints `listening on http://127.0.0.1:PORT` once it serves. Besides the OpenAI endpoints (under /v1): GET /_served
(what was asked so far, and the tokens delivered), GET /_bill (the same by request), PUT /_script (a new script, which
resets the counts), POST /_shutdown.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from meshd.connectors.providers.scripted import script
from meshd.connectors.providers.scripted.bill import Bill, Item
from meshd.connectors.providers.scripted.script import Fault, Script, ScriptError, Step
from meshd.operations.known import by_path
from meshd.sdk.provider import OperationSpec
from meshd.sdk.reading import lenient

_MUCH = b"x" * 64 * 1024


class ScriptedServer:
    """One upstream. `start` binds it, `url` is its base URL (without /v1), `stop` ends everything it started."""

    def __init__(self, options: dict[str, Any] | None = None) -> None:
        self.script = Script(options)
        self.bill = Bill()
        self.cancelled = 0  # streams whose caller left before their end
        self.open = 0  # requests being answered now
        self.connections = 0
        self.url = ""
        self._seen: set[int] = set()
        self._runner: web.AppRunner | None = None
        self.stopped = asyncio.Event()

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> str:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        for path, operation in by_path().items():
            app.router.add_post(path, self._handler(operation))
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/_served", self._served)
        app.router.add_get("/_bill", self._billed)
        app.router.add_put("/_script", self._replace)
        app.router.add_post("/_shutdown", self._shutdown)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, reuse_address=True)
        await site.start()
        self.url = f"http://{host}:{self._runner.addresses[0][1]}"
        return self.url

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _handler(self, operation: OperationSpec) -> Any:
        async def handle(http: web.Request) -> web.StreamResponse:
            if http.transport is not None and id(http.transport) not in self._seen:
                self._seen.add(id(http.transport))
                self.connections += 1
            try:
                fields = msgspec.json.decode(await http.read(), type=dict[str, Any])
            except msgspec.DecodeError:
                return _json(400, b'{"error":{"message":"the body is not an object","type":"invalid_request_error"}}')
            request = script.Request(operation, str(fields.get("model", "")), fields)
            step, item = self.script.take(request.model), self.bill.begin(request)
            self.open += 1
            try:
                await asyncio.sleep(step.delay_seconds)
                return await self._play(http, request, step, item)
            except (asyncio.CancelledError, ConnectionError):
                self.cancelled += 1
                raise
            finally:
                self.open -= 1

        return handle

    async def _play(self, http: web.Request, request: script.Request, step: Step, item: Item) -> web.StreamResponse:
        if step.error is not None:
            headers = dict(step.headers)
            if step.retry_after is not None:
                headers["Retry-After"] = f"{step.retry_after:g}"
            return _json(step.error, script.error_body(step), headers)
        if step.fault is Fault.TIMEOUT:
            await asyncio.Event().wait()
        stream = bool(request.fields.get("stream"))
        if step.fault is Fault.RESET and step.at_once:
            _reset(http)
            return web.Response()
        if step.fault is Fault.HTML and (step.at_once or not stream):
            return web.Response(body=script.HTML_PAGE, content_type="text/html")
        if stream:
            return await self._stream(http, request, step, item)
        return await self._answer(http, request, step, item)

    async def _answer(self, http: web.Request, request: script.Request, step: Step, item: Item) -> web.StreamResponse:
        body = script.answer(step, request)
        if step.fault is Fault.SILENCE:
            await asyncio.Event().wait()
        if step.fault is Fault.PAUSE:
            await asyncio.sleep(step.pause_seconds)
        if step.fault in (Fault.EMPTY, Fault.RAW):
            return _json(200, step.raw.encode())
        if step.fault is Fault.ERROR_EVENT:
            return _json(200, script.error_inside(step))
        if step.fault in (Fault.BAD_CHUNK, Fault.BAD_END):
            return _json(200, body[: len(body) // 2])
        whole = step.fault in (None, Fault.PAUSE)
        if whole and not step.byte_delay:
            item.delivered(lenient.decode(body)["usage"])
            return _json(200, body, step.headers)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        if step.fault is not Fault.ENDLESS:
            response.content_length = len(body)
        await response.prepare(http)
        if step.fault is Fault.ENDLESS:
            await _never_end(response)
        if whole:
            await _trickle(response, body, step)
            item.delivered(lenient.decode(body)["usage"])
            return response
        await response.write(body[: len(body) // 2])
        _reset(http) if step.fault is Fault.RESET else _close(http)
        return response

    async def _stream(self, http: web.Request, request: script.Request, step: Step, item: Item) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **step.headers})
        response.enable_chunked_encoding()
        await response.prepare(http)
        chunks = script.content_chunks(step, request)
        early = int(step.odd is not None and step.odd.early)  # the first chunk then has no text, and is not billed
        before = chunks[: step.after + early] if step.fault is not None or step.byte_delay else chunks
        if step.odd is not None and step.odd.before:
            await response.write(step.odd.before.encode())
        for chunk in script.preface_chunks(step, request):
            await response.write(script.event(chunk))
        for number, chunk in enumerate(before, 1 - early):
            item.delivered(script.usage_so_far(step, request, number))
            await response.write(script.event(chunk, step.odd))
            if step.chunk_delay:
                await asyncio.sleep(step.chunk_delay_seconds)
        if step.fault is not None and await self._break(http, response, step):
            return response
        if step.byte_delay:
            for number, chunk in enumerate(chunks[len(before) :], len(before) + 1 - early):
                await _trickle(response, script.event(chunk), step)
                item.delivered(script.usage_so_far(step, request, number))
            before = chunks
        item.delivered(script.usage(step, request, script.words_of(step, request)))
        done = [b"[DONE]"] if step.odd is None else [step.odd.done.encode()] if step.odd.done else []
        for chunk in [*chunks[len(before) :], *script.last_chunks(step, request), *done]:
            await _trickle(response, script.event(chunk, step.odd), step)
        await response.write_eof()
        return response

    async def _break(self, http: web.Request, response: web.StreamResponse, step: Step) -> bool:
        """Play the fault. Returns True if that ended the stream."""
        match step.fault:
            case Fault.BAD_CHUNK:
                await response.write(script.event(script.BROKEN_CHUNK))
                return False
            case Fault.PAUSE:
                await asyncio.sleep(step.pause_seconds)
                return False
            case Fault.BAD_END:
                await response.write(script.event(script.BROKEN_CHUNK))
            case Fault.ERROR_EVENT:
                await response.write(script.error_event(step))
            case Fault.RAW:
                await response.write(step.raw.encode() + script.event(b"[DONE]"))
            case Fault.HTML:
                await response.write(script.HTML_PAGE)
            case Fault.ENDLESS:
                await response.write(b'data: {"choices":[{"index":0,"delta":{"content":"')
                await _never_end(response)
            case Fault.SILENCE:
                await asyncio.Event().wait()
            case Fault.RESET:
                _reset(http)
                return True
            case Fault.CUT_CHUNK:
                # A chunk of 0x400 bytes is announced, but fewer come.
                if http.transport is not None:
                    http.transport.write(b"400\r\ndata: " + script.BROKEN_CHUNK)
                _close(http)
                return True
        await response.write_eof()
        return True

    async def _models(self, http: web.Request) -> web.Response:
        return _json(200, script.model_list(self.script.models))

    async def _served(self, http: web.Request) -> web.Response:
        counted = {
            "served": self.script.served,
            "by_model": self.script.served_by_model,
            "cancelled": self.cancelled,
            "open": self.open,
            "connections": self.connections,
            "delivered": self.bill.by_model(),
        }
        return _json(200, msgspec.json.encode(counted))

    async def _billed(self, http: web.Request) -> web.Response:
        return _json(200, msgspec.json.encode(self.bill.rows()))

    async def _replace(self, http: web.Request) -> web.Response:
        try:
            self.script = Script(_options(await http.read()))
            self.bill = Bill()
        except (ScriptError, msgspec.DecodeError) as exc:
            return _json(400, msgspec.json.encode({"error": {"message": str(exc)}}))
        return _json(200, b"{}")

    async def _shutdown(self, http: web.Request) -> web.Response:
        self.stopped.set()
        return _json(200, b"{}")


def _json(status: int, body: bytes, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, body=body, headers=headers or None, content_type="application/json")


async def _trickle(response: web.StreamResponse, content: bytes, step: Step) -> None:
    """One byte at a time, if the step has a delay between them."""
    if not step.byte_delay:
        await response.write(content)
        return
    for byte in content:
        await response.write(bytes((byte,)))
        await asyncio.sleep(step.byte_delay_seconds)


async def _never_end(response: web.StreamResponse) -> None:
    """Send as fast as it is read, until the reader disconnects."""
    while True:
        await response.write(_MUCH)
        await asyncio.sleep(0)


def _reset(http: web.Request) -> None:
    """RST instead of FIN: nothing lingers when the socket closes."""
    if http.transport is not None:
        raw = http.transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        http.transport.abort()


def _close(http: web.Request) -> None:
    if http.transport is not None:
        http.transport.close()


def _options(document: bytes) -> dict[str, Any]:
    """A script file: the options, or just the list of steps."""
    decoded = msgspec.json.decode(document)
    if isinstance(decoded, list):
        return {"script": decoded}
    if not isinstance(decoded, dict):
        raise ScriptError("a script file must contain a list of steps, or an object with `script`")
    return decoded


async def serve(port: int, options: dict[str, Any]) -> None:
    server = ScriptedServer(options)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stopped.set)
    print(f"listening on {await server.start(port)}", flush=True)
    await server.stopped.wait()
    await server.stop()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripted_server", description="an upstream that follows a script")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--script", type=Path, help="JSON: a list of steps, or {models, script, cycle}")
    given = parser.parse_args(arguments)
    try:
        options = _options(given.script.read_bytes()) if given.script else {}
        Script(options)
    except (OSError, ScriptError, msgspec.DecodeError) as exc:
        print(f"scripted_server: {given.script}: {exc}", file=sys.stderr)
        return 2
    asyncio.run(serve(given.port, options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
