"""Which connection a request gets, where the server may speak HTTP/2."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from yarl import URL

from meshd.net.connections.pool import queued
from meshd.net.failures import CertificateRefused, NotConnected
from meshd.net.http import Transport, UpstreamBody
from tests.support.network.certificates import certificate
from tests.support.providers.servers.http2_server import Peer, frame
from tests.support.providers.servers.small_proxy import SmallProxy
from tests.unit.net.http2.conftest import Serving
from tests.unit.net.http2.test_exchanges import TWO_AT_ONCE, echo

ONE_AT_ONCE = frame(4, 0, 0, b"\0\3\0\0\0\1")


@pytest.mark.parametrize("protocols", [["http/1.1"], []], ids=["chooses http/1.1", "knows no ALPN"])
async def test_a_server_without_http2_gets_http1(pair: tuple[Path, Path], protocols: list[str]) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await reader.readuntil(b"\r\n\r\n"):
            await asyncio.sleep(0.02)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    if protocols:
        context.set_alpn_protocols(protocols)
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        transport = Transport(
            secure=True, host="127.0.0.1", port=port, ca_file=str(pair[0]), environ={}, http2=True, max_connections=3
        )

        async def ask() -> bytes:
            answer = await transport.send(transport.head("GET", URL(f"https://127.0.0.1:{port}/"), {}))
            return await UpstreamBody(answer).read(10)

        assert await asyncio.gather(*(ask() for _ in range(9))) == [b"hi"] * 9
        assert await ask() == b"hi"
        assert connections == 3
        await transport.aclose()


async def test_a_request_waits_when_all_streams_are_in_use(serving: Serving) -> None:
    go_on = asyncio.Event()

    async def serve(peer: Peer) -> None:
        for number in (0, 1, 2):
            asked = await peer.asked()
            if number == 1:
                await go_on.wait()
            peer.answer(asked.stream, b"ok")

    async def late() -> bool:
        try:
            async with asyncio.timeout(0.1):
                await client.ask(b"3")
        except TimeoutError:
            return queued.get()
        return False

    async with serving(serve, ONE_AT_ONCE, max_connections=1) as client:
        assert await client.ask(b"1") == b"ok"
        second = asyncio.ensure_future(client.ask(b"2"))
        await asyncio.sleep(0)
        assert await late()
        third = asyncio.ensure_future(client.ask(b"3"))
        await asyncio.sleep(0)
        go_on.set()
        assert await asyncio.gather(second, third) == [b"ok", b"ok"]
        assert len(client.peers) == 1


async def test_a_limit_that_is_told_late(serving: Serving) -> None:
    """The first requests are too many; those that are refused find room elsewhere, and none fails."""

    async def serve(peer: Peer) -> None:
        under_way: set[asyncio.Task[None]] = set()

        async def answer(stream: int) -> None:
            await asyncio.sleep(0.01)
            peer.answer(stream, b"ok")

        while True:
            asked = await peer.asked()
            if len(under_way) == 2:
                peer.h2.reset_stream(asked.stream, 7)
                peer.flush()
                continue
            task = asyncio.ensure_future(answer(asked.stream))
            under_way.add(task)
            task.add_done_callback(under_way.discard)

    async with serving(serve, TWO_AT_ONCE, max_connections=8) as client:
        assert await asyncio.gather(*(client.ask(b"x") for _ in range(30))) == [b"ok"] * 30
        assert len(client.peers) <= 8


async def test_an_idle_connection_is_closed(serving: Serving) -> None:
    ended = asyncio.Event()

    async def serve(peer: Peer) -> None:
        try:
            await echo(peer)
        finally:
            ended.set()

    async with serving(serve, keepalive=0.05) as client:
        assert await asyncio.gather(client.ask(b"1"), client.ask(b"2")) == [b"got 1", b"got 2"]
        await asyncio.wait_for(ended.wait(), 5)
        assert await client.ask(b"3") == b"got 3"
        assert len(client.peers) == 2


async def test_no_connection_fails_all_that_wait_for_it(serving: Serving) -> None:
    async with serving(echo) as client:
        port = client.port
    transport = Transport(secure=True, host="127.0.0.1", port=port, environ={}, http2=True)
    head = transport.head("GET", URL("https://127.0.0.1/"), {})
    failed = await asyncio.gather(*(transport.send(head) for _ in range(5)), return_exceptions=True)
    assert [type(error) for error in failed] == [NotConnected] * 5
    await transport.aclose()


async def test_a_certificate_that_is_not_trusted(serving: Serving, tmp_path: Path) -> None:
    other, _ = certificate(tmp_path, "other")
    async with serving(echo, ca_file=str(other)) as client:
        with pytest.raises(CertificateRefused):
            await client.ask(b"x")


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_through_a_proxy(serving: Serving, scheme: str) -> None:
    proxy = SmallProxy()
    try:
        async with serving(echo, proxy=proxy.address(scheme)) as client:
            assert await asyncio.gather(client.ask(b"1"), client.ask(b"2")) == [b"got 1", b"got 2"]
            assert len(client.peers) == len(proxy.asked) == 1
    finally:
        proxy.close()


async def test_closing_ends_what_is_under_way(serving: Serving) -> None:
    async with serving(echo) as client:
        await client.ask(b"x")
        stuck = asyncio.ensure_future(client.transport.send(client.head("POST"), b"a" * 200_000))
        await asyncio.sleep(0)
        await client.transport.aclose()
        await asyncio.wait([stuck], timeout=5)
        assert stuck.done()
        if not stuck.exception():
            stuck.result().abort()


def test_without_the_key_nothing_of_it_is_imported() -> None:
    code = (
        "import sys; from meshd.net.http import Transport; Transport(secure=True, host='x'); "
        "print([name for name in sys.modules if name.split('.')[0] in ('h2', 'hpack') or '.http2' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
