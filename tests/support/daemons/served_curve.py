"""The socket's server alone, at an address of CURVE, and clients whose every byte the test sends and reads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from meshd.config.schema import DaemonConfig
from meshd.core.text.z85 import decode_key
from modelmesh import protocol as wire
from tests.support.apps.curve_peer import GREETING, CurvePeer, on_the_wire, pair
from tests.support.daemons.served import Served, served_in

SERVER, SERVER_SECRET = pair()
LAPTOP, LAPTOP_SECRET = pair()
BENCH, BENCH_SECRET = pair()
CONFIG = DaemonConfig.model_validate({"listen": ["tcp://127.0.0.1:*"], "curve": {"secret_key": SERVER_SECRET}})
"""What `served.server.use` was given."""


def curve_served_in(directory: Path, limit: int = 1024**2, **options: Any) -> Callable[[Any], None]:
    """As `served_in`, with the address of CURVE. The keys of LAPTOP and BENCH are admitted."""

    def run(test: Callable[[Served, str], Awaitable[None]]) -> None:
        async def at_curve(served: Served, address: str) -> None:
            served.allow_in_flight(64)
            served.server.use(CONFIG, {LAPTOP: "laptop", BENCH: "bench"})
            await test(served, served.server.further.addresses[0])

        served_in(directory, limit, **options)(at_curve)

    return run


class CurveClient:
    """`await CurveClient.dial(address)`: its connection; then, step by step, the handshake or all of it by `join`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, secret: str) -> None:
        self.curve = CurvePeer(decode_key(SERVER), decode_key(secret))
        self._reader, self._writer = reader, writer
        self._heard = 0  # the number of the last MESSAGE

    @classmethod
    async def dial(cls, address: str, secret: str = LAPTOP_SECRET) -> CurveClient:
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        return cls(*await asyncio.open_connection(host, int(port)), secret)

    async def greet(self) -> None:
        self.send(GREETING)
        await self._reader.readexactly(len(GREETING))

    async def welcome(self) -> None:
        """Half of the handshake."""
        await self.greet()
        self.send(on_the_wire(self.curve.hello(), 4))
        self.curve.welcomed(await self.frame())

    async def join(self) -> CurveClient:
        await self.welcome()
        self.send(on_the_wire(self.curve.initiate(), 4))
        self.curve.ready(await self.frame())
        return self

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    def request(self, body: bytes = b"", path: str = "/v1/chat/completions") -> None:
        head = wire.RequestHead(path=path)
        self.send(self.curve.message(wire.encode(wire.REQUEST, wire.new_request_id(), head, body)))

    def ping(self, context: bytes = b"") -> None:
        """ZMTP's own."""
        self.send(on_the_wire(self.curve.seal(b"\4PING\0\0" + context, 2)))

    async def next(self) -> list[bytes]:
        """The frames of a message, or the one of a command. Their numbers rise."""
        frames = []
        while True:
            body = await self.frame()
            number = int.from_bytes(body[8:16])
            assert number > self._heard, "the frames are in the order of their numbers"
            self._heard = number
            flags, content = self.curve.open(body)
            frames.append(content)
            if flags != 1:
                return frames

    async def ended(self) -> bool:
        """Reads what is left; whether the server closed the connection."""
        try:
            async with asyncio.timeout(10):
                await self._reader.read()
        except ConnectionError:
            pass
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        self._writer.close()

    async def frame(self) -> bytes:
        async with asyncio.timeout(10):
            (flags,) = await self._reader.readexactly(1)
            size = int.from_bytes(await self._reader.readexactly(8 if flags & 2 else 1))
            return await self._reader.readexactly(size)
