"""One place where a body is read, and a bomb there: prints by how many MB the process grew, and what it said."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import resource
import sys
import threading
import zlib
from collections.abc import Awaitable, Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec

from meshd.operations.chat import CHAT

SIZE = 2_000_000_000
STEP = 10_000_000


def grown(begin: bytes, fill: bytes, compress: Callable[[bytes], bytes], flush: Callable[[], bytes]) -> bytes:
    """`begin`, then SIZE bytes of `fill`: a step is compressed twice, and its second form repeated."""
    step = fill * (STEP // len(fill))
    first = compress(begin) + flush() + compress(step) + flush()
    return first + (compress(step) + flush()) * (SIZE // STEP)


def bomb(coding: str, begin: bytes, fill: bytes = b" ") -> bytes:
    if coding == "br":
        import brotli

        made = brotli.Compressor(quality=5)
        return grown(begin, fill, made.process, made.flush)
    if coding == "zstd":
        from meshd.net.encodings import zstd_module

        zstd = zstd_module().ZstdCompressor()
        return grown(begin, fill, zstd.compress, lambda: zstd.flush(zstd.FLUSH_BLOCK))
    deflate = zlib.compressobj(wbits=31)
    coded = grown(begin, fill, deflate.compress, lambda: deflate.flush(zlib.Z_FULL_FLUSH))
    return gzip.compress(coded) if coding == "gzip, gzip" else coded


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, body: bytes, coding: str, status: int, kind: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                self.send_response(status)
                for name, value in (("Content-Encoding", coding), ("Content-Type", kind), ("Location", "/again")):
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.handle_error = lambda *_: None  # no client reads to the end
        threading.Thread(target=self.serve_forever, daemon=True).start()


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def of_provider(ask: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[str], str]:
    from meshd.connectors.providers.openai import OpenAIProvider
    from meshd.sdk import ProviderCall, ProviderFailure, ProviderSettings

    async def run(url: str) -> str:
        made = OpenAIProvider(ProviderSettings("p", "c", base_url=f"{url}/v1"))
        fields = {"messages": msgspec.Raw(b'[{"role":"user","content":"hi"}]')}
        try:
            return f"answered {await ask(made, ProviderCall(CHAT, 'm', fields, timeout=40.0))}"[:200]
        except ProviderFailure as failure:
            return f"{failure.kind} {failure.message}"
        finally:
            await made.aclose()

    return lambda url: asyncio.run(run(url))


async def streamed(made: Any, call: Any) -> int:
    call = msgspec.structs.replace(call, stream=True) if isinstance(call, msgspec.Struct) else call
    return len([event async for event in made.stream(call)])


def scanned(url: str) -> str:
    from meshd.discovery.local_servers import http_get

    answer = http_get("127.0.0.1", int(url.rpartition(":")[2]), "/v1/models")
    return f"{answer and len(answer.body)} bytes"


def pulled(url: str) -> str:
    from meshd.pull.errors import PullError
    from meshd.pull.fetch import download

    try:
        return download(f"{url}/f.gguf", Path(sys.argv[2]) / "f", sleep=lambda seconds: None)
    except PullError as error:
        return str(error)


def main(place: str) -> None:
    words = place.split()
    kind, status, coding = "application/json", 200, "gzip"
    begin, fill = b'{"choices":[{"message":{"content":"', b"a"
    if words[0] == "answer":
        coding = {"br": "br", "zstd": "zstd", "chain": "gzip, gzip"}.get(words[-1], "gzip")
        ask = of_provider(lambda made, call: made.execute(call))
    elif words[0] == "stream":
        begin = {"event": b"data: ", "line": b"", "plain": begin}[words[1]]
        fill = b"data: aaaaaaaaa\n" if words[1] == "event" else fill
        kind = "application/json" if words[1] == "plain" else "text/event-stream"
        ask = of_provider(streamed)
    elif place == "error":
        begin, status = b'{"error":{"message":"', 500
        ask = of_provider(lambda made, call: made.execute(call))
    elif place == "local scan":
        ask = scanned
    elif "pull" in words:
        status = 302 if "redirect" in words else 200
        kind = "application/octet-stream"
        ask = pulled
    else:
        begin = b'{"data":[{"id":"'
        name = {"list": "list_models", "details": "model_details", "probe": "probe"}[place]
        arguments = {"list": (), "details": ("m",), "probe": (30.0,)}[place]
        ask = of_provider(lambda made, call: getattr(made, name)(*arguments))
    server = Server(bomb(coding, begin, fill), coding, status, kind)
    before = peak()
    said = ask(f"http://127.0.0.1:{server.server_port}")
    print(f"{peak() - before:.0f} {said}")


if __name__ == "__main__":
    main(sys.argv[1])
