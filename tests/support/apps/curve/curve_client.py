"""A client at an address of CURVE, whose every byte the test sends and reads."""

from __future__ import annotations

import asyncio

from meshd.core.text.z85 import decode_key
from modelmesh import protocol as wire
from tests.support.apps.curve.curve_peer import GREETING, CurvePeer, on_the_wire


class CurveClient:
    """`await CurveClient.dial(address, key)`: its connection; then the handshake, step by step or all of it by `join`.

    server: the daemon's public key; secret: of the client's pair; both in Z85."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: str, secret: str) -> None:
        self.curve = CurvePeer(decode_key(server), decode_key(secret))
        self._reader, self._writer = reader, writer
        self._heard = 0  # the number of the last MESSAGE

    @classmethod
    async def dial(cls, address: str, server: str, secret: str, source: str = "") -> CurveClient:
        """source: an address of this machine."""
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        local = (source, 0) if source else None
        return cls(*await asyncio.open_connection(host, int(port), local_addr=local), server, secret)

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
