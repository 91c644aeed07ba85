"""An HTTP server without sockets, and requests to it as bytes."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Awaitable, Callable, Iterator
from types import SimpleNamespace
from typing import Any

from meshd.config.mesh_config import MeshConfig
from meshd.core.caller import Peer
from meshd.gateway.control.dispatcher import Dispatcher
from meshd.gateway.frontends.admission import Admission, Limits, Rights
from meshd.gateway.frontends.exchange import Request
from meshd.gateway.frontends.http.connection import HttpConnection
from meshd.gateway.frontends.http.listeners import Listener
from meshd.gateway.frontends.http.server import HttpServer
from meshd.gateway.spoken import spoken_at

LIMIT = 1000
CHAT = "/v1/chat/completions"
GET = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Wire(asyncio.Transport):
    """What a connection writes to. unread: bytes that the client has not read yet."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closing = self.ended = False
        self.reading = True
        self.unread = 0

    def write(self, data: Any) -> None:
        assert not self.closing
        self.written += data

    def writelines(self, list_of_data: Any) -> None:
        for data in list_of_data:
            self.write(data)

    def get_write_buffer_size(self) -> int:
        return self.unread

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    abort = close

    def is_reading(self) -> bool:
        return self.reading

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class World:
    """A server without sockets. answer: what becomes of an admitted request. limit: bytes of a body."""

    def __init__(self, answer: Callable[[Request], None] | None = None, limit: int = LIMIT) -> None:
        self.loop = asyncio.get_running_loop()
        self.asked: list[Request] = []
        self.answer = answer or (lambda request: request.reply.respond(request.body, {}, None))
        self.admission = Admission(
            self.accept, spoken_at().keys(), Limits(60.0, LIMIT, 8), lambda caller: Rights(True, limit, "the.limit")
        )
        self.server = HttpServer(self.admission, self.endpoints())
        self.server.use(MeshConfig({"proxy": {"dashboard": False}}))
        self.admission.open(self.loop)
        self.server.open(self.loop)
        self.connect()

    def endpoints(self) -> Dispatcher:
        async def asked(*_: Any) -> None:
            raise AssertionError("requests are admitted, not run")

        table = Dispatcher({path: spoken.format.name for path, spoken in spoken_at().items()}, asked)
        table.add("GET", "/v1/models", asked)
        table.add("POST", "/mesh/v1/reload", asked)
        table.add_raw("POST", "/providers/", asked, streams=True)
        return table

    def connect(self, caller: Peer | None = None) -> None:
        """caller: by default, this user."""
        shared = self.server, self.admission.turns, self.admission.room
        self.connection = HttpConnection(self.loop, caller or Peer(os.getuid()), *shared, Listener(is_unix=False))
        self.server.connections.add(self.connection)
        self.admission.connections.take(self.connection.user)
        self.wire = Wire()
        self.connection.connection_made(self.wire)

    def accept(self, request: Request) -> None:
        self.asked.append(request)
        request.task = self.loop.create_future()  # type: ignore[assignment]
        self.answer(request)

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            if not self.wire.closing:
                self.connection.data_received(piece)
        await self.settle()

    async def settle(self) -> None:
        """Until nothing more happens by itself."""
        before = -1
        async with asyncio.timeout(10):
            while before != (before := len(self.wire.written) + len(self.asked)) or self.admission.turns.waiting:
                for _ in range(6):
                    await asyncio.sleep(0)

    @property
    def answers(self) -> list[SimpleNamespace]:
        return list(parsed(bytes(self.wire.written)))

    @property
    def statuses(self) -> list[int]:
        return [each.status for each in self.answers]


def parsed(data: bytes) -> Iterator[SimpleNamespace]:
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("ascii").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        body = b""
        if headers.get("transfer-encoding") == "chunked":
            while True:
                size, _, rest = rest.partition(b"\r\n")
                piece, rest = rest[: int(size, 16)], rest[int(size, 16) + 2 :]
                if not piece:
                    break
                body += piece
        elif "content-length" in headers:
            body, rest = rest[: int(headers["content-length"])], rest[int(headers["content-length"]) :]
        data = rest
        yield SimpleNamespace(status=int(first.split()[1]), headers=headers, body=body)


def post(body: bytes = b"{}", *headers: str, path: str = CHAT, length: bool = True) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        *headers,
        *([f"Content-Length: {len(body)}"] if length else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))


def cut(data: bytes, places: list[int]) -> list[bytes]:
    at = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in itertools.pairwise(at)]


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]
