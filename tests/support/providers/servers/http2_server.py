"""A server of HTTP/2 whose every frame a test decides."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, RequestReceived, StreamEnded
from h2.exceptions import ProtocolError


@dataclass
class Asked:
    stream: int
    headers: dict[str, str]
    body: bytearray = field(default_factory=bytearray)


class Peer:
    """One connection. gives: whether windows are given back by themselves. settings: sent instead of h2's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, settings: bytes = b"") -> None:
        self._settings = settings
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.events: list[Event] = []
        self.gives = True
        self._reader = reader
        self._writer = writer
        self._asked: dict[int, Asked] = {}
        self._whole: asyncio.Queue[Asked] = asyncio.Queue()
        self._came = asyncio.Event()

    async def run(self) -> None:
        self.h2.initiate_connection()
        own = self.h2.data_to_send()
        self._writer.write(self._settings or own)
        while data := await self._reader.read(65536):
            for event in self.h2.receive_data(data):
                self.events.append(event)
                if isinstance(event, RequestReceived):
                    headers = {str(name): str(value) for name, value in event.headers}
                    self._asked[event.stream_id] = Asked(event.stream_id, headers)
                elif isinstance(event, DataReceived):
                    self._asked[event.stream_id].body += event.data
                    if self.gives and event.flow_controlled_length:
                        self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, StreamEnded):
                    self._whole.put_nowait(self._asked[event.stream_id])
            self._came.set()
            self.flush()

    async def asked(self) -> Asked:
        """The next request that is complete."""
        return await self._whole.get()

    async def sees(self, kind: type[Event]) -> Event:
        """The first event of a kind that has come, or comes."""
        while not (found := [event for event in self.events if isinstance(event, kind)]):
            await self.more()
        return found[0]

    async def more(self) -> None:
        """Until something comes."""
        self._came.clear()
        await self._came.wait()

    def answer(self, stream: int, body: bytes = b"hi", status: int = 200, *, end: bool = True, **headers: str) -> None:
        named = [(name.replace("_", "-"), value) for name, value in headers.items()]
        self.h2.send_headers(stream, [(":status", str(status)), *named], end_stream=end and not body)
        if body:
            self.h2.send_data(stream, body, end_stream=end)
        self.flush()

    def raw(self, data: bytes) -> None:
        self.flush()
        self._writer.write(data)

    def flush(self) -> None:
        self._writer.write(self.h2.data_to_send())

    def close(self) -> None:
        self._writer.close()

    async def drain(self) -> None:
        await self._writer.drain()


Serve = Callable[[Peer], Awaitable[None]]


@asynccontextmanager
async def http2_server(
    serve: Serve, certificate: tuple[Path, Path], settings: bytes = b""
) -> AsyncIterator[tuple[int, list[Peer]]]:
    """Its port, and its connections so far. serve: is told of each connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.set_alpn_protocols(["h2"])
    peers: list[Peer] = []
    failed: list[BaseException | None] = []

    def ended(serving: asyncio.Future[None]) -> None:
        if not serving.cancelled() and serving.exception() is not None:
            failed.append(serving.exception())

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer, settings)
        peers.append(peer)
        serving = asyncio.ensure_future(serve(peer))
        serving.add_done_callback(ended)
        try:
            await peer.run()
        except (ConnectionError, ProtocolError, asyncio.CancelledError):
            pass
        finally:
            serving.cancel()
            writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1], peers
        for peer in peers:
            peer.close()
    assert not failed, failed[0]


def frame(kind: int, flags: int, stream: int, data: bytes = b"") -> bytes:
    return len(data).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + data


def goaway(last: int, reason: int = 0) -> bytes:
    return frame(7, 0, 0, last.to_bytes(4, "big") + reason.to_bytes(4, "big"))
