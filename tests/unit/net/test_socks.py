"""SOCKS proxies: the protocol, and what a proxy's failure means."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from yarl import URL

from meshd.formats.errors.transport_failures import failure_from_exception
from meshd.net.connections.connecting import proxy_authorization
from meshd.net.connections.proxies import find_proxy
from meshd.net.failures import TransportError
from meshd.net.http import Transport, UpstreamBody
from meshd.sdk.provider import FailureKind, ProviderFailure


@pytest.mark.parametrize("scheme", ["socks", "socks4", "socks4a", "socks5", "socks5h"])
def test_a_socks_proxy_is_never_spoken_http_to(scheme: str) -> None:
    proxy = find_proxy(False, "api.test", None, {"ALL_PROXY": f"{scheme}://user:secret-pw@proxy"})
    assert proxy is not None
    assert proxy.socks
    assert proxy.port == 1080
    assert proxy_authorization(proxy) == {}
    assert "secret-pw" not in repr(proxy) + str(proxy.url)


# -- a SOCKS server -----------------------------------------------------------------------------------


class Socks:
    """A SOCKS5 server that answers for every destination itself, and notes which were asked for."""

    def __init__(self, code: int = 0) -> None:
        self.code = code
        self.asked: list[tuple[bytes, int]] = []
        self.users: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            version, count = await reader.readexactly(2)
            assert version == 5, "not SOCKS5"
            methods = await reader.readexactly(count)
            writer.write(b"\x05\x02" if 2 in methods else b"\x05\x00")
            if 2 in methods:
                _, length = await reader.readexactly(2)
                user = await reader.readexactly(length)
                (length,) = await reader.readexactly(1)
                self.users.append(user + b":" + await reader.readexactly(length))
                writer.write(b"\x01\x00")
            _, _, _, kind = await reader.readexactly(4)
            size = 4 if kind == 1 else (await reader.readexactly(1))[0]
            host = await reader.readexactly(size)
            self.asked.append((host, int.from_bytes(await reader.readexactly(2), "big")))
            writer.write(bytes([5, self.code, 0, 1, 0, 0, 0, 0, 0, 0]))
            if not self.code:
                await self.answer(reader, writer)
            await writer.drain()
        finally:
            writer.close()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")


@pytest.mark.parametrize("scheme", ["socks5h", "socks5"])
async def test_a_socks_proxy_is_spoken(scheme: str) -> None:
    socks = Socks()
    async with await asyncio.start_server(socks.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        host = "api.invalid" if scheme == "socks5h" else "192.0.2.1"
        environ = {"ALL_PROXY": f"{scheme}://me:pw@127.0.0.1:{port}"}
        transport = Transport(secure=False, host=host, port=8000, environ=environ)
        try:
            answer = await transport.send(transport.head("GET", URL(f"http://{host}:8000/v1"), {}))
            assert await UpstreamBody(answer).read(100) == b"hi"
        finally:
            await transport.aclose()
    expected = b"api.invalid" if scheme == "socks5h" else bytes([192, 0, 2, 1])
    assert socks.asked == [(expected, 8000)]
    assert socks.users == [b"me:pw"]


async def test_a_socks_proxy_that_refuses_is_named_without_its_password() -> None:
    socks = Socks(code=2)
    async with await asyncio.start_server(socks.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        environ = {"ALL_PROXY": f"socks5h://me:secret-pw@127.0.0.1:{port}"}
        transport = Transport(secure=False, host="api.invalid", environ=environ)
        with pytest.raises(TransportError, match="SOCKS proxy") as refused:
            await transport.send(transport.head("GET", URL("http://api.invalid/"), {}))
        await transport.aclose()
    assert "secret-pw" not in str(refused.value)


async def _refused_by_socks(port: int, scheme: str = "http", **secure: Any) -> ProviderFailure:
    environ = {"ALL_PROXY": f"socks5h://127.0.0.1:{port}"}
    transport = Transport(secure=scheme == "https", host="api.invalid", environ=environ, connect_timeout=0.3)
    try:
        with pytest.raises(TransportError) as refused:
            await transport.send(transport.head("GET", URL(f"{scheme}://api.invalid/"), {}))
    finally:
        await transport.aclose()
    return failure_from_exception(refused.value, "api.invalid", 1)


@pytest.mark.parametrize("code", [1, 2, 4, 5])
async def test_a_socks_proxy_that_refuses_was_sent_nothing(code: int) -> None:
    async with await asyncio.start_server(Socks(code=code).serve, "127.0.0.1", 0) as server:
        failure = await _refused_by_socks(server.sockets[0].getsockname()[1])
    assert (failure.kind, failure.unsent) == (FailureKind.CONNECTION, True)
    assert "the SOCKS proxy 127.0.0.1:" in failure.message


async def test_a_socks_proxy_that_does_not_exist_was_sent_nothing() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # and does not listen
        failure = await _refused_by_socks(silent.getsockname()[1])
    assert (failure.kind, failure.unsent) == (FailureKind.CONNECTION, True)
    assert "the SOCKS proxy 127.0.0.1:" in failure.message
    assert "cannot be reached" in failure.message


@pytest.mark.parametrize("answers", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["silence", "no TLS"])
async def test_tls_that_fails_behind_a_socks_proxy_was_sent_nothing(answers: bytes) -> None:
    class WithoutTLS(Socks):
        async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(answers)
            await reader.read()

    async with await asyncio.start_server(WithoutTLS().serve, "127.0.0.1", 0) as server:
        failure = await asyncio.wait_for(_refused_by_socks(server.sockets[0].getsockname()[1], "https"), 10)
    assert (failure.kind, failure.unsent) == (FailureKind.CONNECTION, True)
