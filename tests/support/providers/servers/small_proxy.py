"""A proxy that passes on: HTTP (CONNECT and whole addresses) and SOCKS5 on one port, with a user and password."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
import threading
from urllib.parse import urlsplit


class SmallProxy:
    """Every name is this machine. asked: what it was asked for, in order. refused: how often a user was wrong."""

    def __init__(self, user: str = "me", password: str = "pr0xy-passw0rd", tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[str] = []
        self.refused = 0
        self._user, self._password, self._tls = user, password, tls
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(20)

    def address(self, scheme: str, user: str | None = None) -> str:
        return f"{scheme}://{user or self._user}:{self._password}@127.0.0.1:{self.port}"

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls))
        self.port: int = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            first = await reader.readexactly(1)
            await (self._socks(reader, writer) if first == b"\x05" else self._http(first, reader, writer))
        writer.close()

    async def _socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly((await reader.readexactly(1))[0])
        writer.write(b"\x05\x02")
        await reader.readexactly(1)
        user = await reader.readexactly((await reader.readexactly(1))[0])
        password = await reader.readexactly((await reader.readexactly(1))[0])
        right = (user.decode(), password.decode()) == (self._user, self._password)
        writer.write(b"\x01\x00" if right else b"\x01\x01")
        if not right:
            self.refused += 1
            return
        kind = (await reader.readexactly(4))[3]
        host = await reader.readexactly(4 if kind == 1 else (await reader.readexactly(1))[0])
        port = int.from_bytes(await reader.readexactly(2), "big")
        self.asked.append(f"SOCKS {host.decode() if kind == 3 else '.'.join(map(str, host))}:{port}")
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        await self._pass_on(port, b"", reader, writer)

    async def _http(self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = first + await reader.readuntil(b"\r\n\r\n")
        line, _, fields = head.decode().partition("\r\n")
        method, target, _ = line.split(" ")
        self.asked.append(f"{method} {target}")
        told = base64.b64encode(f"{self._user}:{self._password}".encode()).decode()
        if f"proxy-authorization: basic {told}".lower() not in fields.lower():
            self.refused += 1
            writer.write(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            return
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await self._pass_on(int(target.rpartition(":")[2]), b"", reader, writer)
            return
        parts = urlsplit(target)
        kept = "\r\n".join(each for each in fields.split("\r\n") if not each.lower().startswith("proxy-"))
        begun = f"{method} {parts.path}{'?' if parts.query else ''}{parts.query} HTTP/1.1\r\n{kept}".encode()
        await self._pass_on(parts.port or 80, begun, reader, writer)

    async def _pass_on(
        self, port: int, begun: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", port)
        to_writer.write(begun)
        try:
            both = [asyncio.ensure_future(_copy(reader, to_writer)), asyncio.ensure_future(_copy(to_reader, writer))]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for each in both:
                each.cancel()
        finally:
            to_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
