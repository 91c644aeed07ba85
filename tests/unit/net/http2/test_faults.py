"""What a server of HTTP/2 may do to its client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from h2.events import PingReceived, RequestReceived, StreamReset
from h2.settings import SettingCodes

from meshd.net.answers import HIGH
from meshd.net.failures import Cancelled, ConnectionLost, Cut, NotHttp, Refused, TransportError
from meshd.net.http import UpstreamBody
from meshd.net.http2 import connection
from tests.support.providers.servers.http2_server import Peer, frame, goaway
from tests.unit.net.http2.conftest import Serving
from tests.unit.net.http2.test_exchanges import echo


async def test_going_away_ends_no_answer_and_loses_no_request(serving: Serving) -> None:
    """The first connection answers its first request, and leaves with two under way."""
    left = False

    async def serve(peer: Peer) -> None:
        nonlocal left
        if left:
            await echo(peer)
        first = await peer.asked()
        peer.answer(first.stream, b"a", end=False)
        await peer.asked()
        left = True
        peer.raw(goaway(2**31 - 1) + goaway(first.stream))
        await asyncio.sleep(0.02)
        peer.h2.send_data(first.stream, b"b", end_stream=True)
        peer.flush()

    async with serving(serve) as client:
        body = UpstreamBody(await client.send(b"1"))
        assert await client.ask(b"2") == b"got 2"
        assert await client.ask(b"3") == b"got 3"
        assert await body.read(10) == b"ab"
        assert len(client.peers) == 2


@pytest.mark.parametrize("times", [1, 5])
async def test_refused_streams_are_asked_again(serving: Serving, times: int) -> None:
    refused = 0

    async def serve(peer: Peer) -> None:
        nonlocal refused
        while refused < times:
            asked = await peer.asked()
            refused += 1
            peer.h2.reset_stream(asked.stream, 7)
            peer.flush()
        await echo(peer)

    async with serving(serve) as client:
        if times == 1:
            assert await client.ask(b"x") == b"got x"
        else:
            with pytest.raises(Refused):
                await client.ask(b"x")
            assert refused == 3


async def test_what_needs_http1_is_asked_without_http2(serving: Serving) -> None:
    async def serve(peer: Peer) -> None:
        asked = await peer.asked()
        peer.h2.reset_stream(asked.stream, 13)
        peer.flush()

    async with serving(serve) as client:
        with pytest.raises(TransportError):  # this server has only HTTP/2: TLS finds nothing in common, or it hangs up
            await client.ask(b"x")
        assert all(not peer.events for peer in client.peers[1:])


async def test_a_stale_connection_is_replaced(serving: Serving) -> None:
    async def serve(peer: Peer) -> None:
        asked = await peer.asked()
        peer.answer(asked.stream, b"ok")
        await peer.sees(RequestReceived)
        peer.events.clear()
        await peer.sees(RequestReceived)
        peer.close()

    async with serving(serve) as client:
        assert await client.ask(b"x") == b"ok"
        assert await asyncio.gather(*(client.ask(b"%d" % number) for number in range(1))) == [b"ok"]
        assert len(client.peers) == 2


async def test_a_window_that_never_opens(serving: Serving) -> None:
    async def serve(peer: Peer) -> None:
        peer.gives = False
        peer.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
        peer.flush()
        await peer.sees(StreamReset)
        peer.h2.increment_flow_control_window(100_000)
        peer.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 65_535})
        peer.flush()
        await echo(peer)

    async with serving(serve) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.ask(b"a" * 100_000)
        assert await asyncio.wait_for(client.ask(b"y"), 5) == b"got y"


def bomb() -> bytes:
    """A header block that is small, and large when it is read: one entry of the table, many times."""
    literal = b"\x40\x01a\x7f\xc1\x1e" + 4_000 * b"b"  # 4000 bytes for the name `a`
    return b"\x88" + literal + 16 * b"\x3e".replace(b"\x3e", b"\xbe") * 100


ODD: dict[str, Callable[[int], bytes]] = {
    "pings": lambda stream: 3000 * frame(6, 0, 0, bytes(8)),
    "settings": lambda stream: 3000 * frame(4, 0, 0),
    "empty data": lambda stream: b"\0\0\1\1\4" + stream.to_bytes(4, "big") + b"\x88" + 3000 * frame(0, 0, stream),
    "window updates": lambda stream: 3000 * frame(8, 0, 0, b"\0\0\0\1"),
    "informational": lambda stream: 3000 * frame(1, 4, stream, b"\x08\x03103"),
    "resets": lambda stream: 3000 * frame(3, 0, stream, bytes(4)),
    "unknown": lambda stream: 3000 * frame(99, 0, 0),
    "priorities": lambda stream: 3000 * frame(2, 0, 5, bytes(5)),
    "continuations": lambda stream: frame(1, 0, stream, b"\x88") + 3000 * frame(9, 0, stream),
    "large continuations": lambda stream: frame(1, 0, stream, b"\x88") + 70 * frame(9, 0, stream, 16_000 * b"a"),
    "a bomb": lambda stream: frame(1, 4, stream, bomb()),
    "a large frame": lambda stream: (2**24 - 1).to_bytes(3, "big") + bytes([0, 0]) + stream.to_bytes(4, "big"),
    "http/1.1": lambda stream: b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "data without headers": lambda stream: frame(0, 0, stream, b"x"),
    "a status of letters": lambda stream: frame(1, 4, stream, b"\x08\x03abc"),
    "no status": lambda stream: frame(1, 4, stream, b"\x00\x01a\x01b"),
    "upper case": lambda stream: frame(1, 4, stream, b"\x88\x00\x01A\x01b"),
    "a push": lambda stream: frame(5, 4, stream, b"\0\0\0\2\x88"),
    "a stream of its own": lambda stream: frame(1, 4, 2, b"\x88"),
    "a short goaway": lambda stream: frame(7, 0, 0, b"\0\0\0"),
    "a ping of a stream": lambda stream: frame(6, 0, stream, bytes(8)),
    "a wrong length": lambda stream: frame(1, 4, stream, b"\x88\x0f\x0d\x015") + frame(0, 1, stream, b"hi"),
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
async def test_an_odd_connection_ends_and_the_next_works(serving: Serving, odd: Callable[[int], bytes]) -> None:
    async def serve(peer: Peer) -> None:
        if len(client.peers) > 1:
            await echo(peer)
        asked = await peer.asked()
        peer.raw(odd(asked.stream))

    async with serving(serve) as client:
        with pytest.raises((NotHttp, Cut, Cancelled)):
            async with asyncio.timeout(5):
                await client.ask(b"x")
        assert await asyncio.wait_for(client.ask(b"y"), 5) == b"got y"


async def test_others_on_an_odd_connection_are_not_blamed(serving: Serving) -> None:
    async def serve(peer: Peer) -> None:
        good, odd = await peer.asked(), await peer.asked()
        peer.answer(good.stream, b"part", end=False)
        peer.raw(frame(1, 4, odd.stream, b"\x88\x00\x01A\x01b"))

    async with serving(serve) as client:
        second = asyncio.ensure_future(client.send(b"1"))
        await asyncio.sleep(0)
        first = asyncio.ensure_future(client.ask(b"2"))
        body = UpstreamBody(await second)
        with pytest.raises(NotHttp):
            await first
        assert await body.read_some() == b"part"
        with pytest.raises(Cut):
            await body.read_some()


async def test_more_than_the_window_ends_the_connection(serving: Serving) -> None:
    async def serve(peer: Peer) -> None:
        asked = await peer.asked()
        peer.raw(frame(1, 4, asked.stream, b"\x88") + 9 * frame(0, 0, asked.stream, 16_000 * b"a"))

    async with serving(serve) as client:
        answer = await client.send(b"x")
        await asyncio.sleep(0.05)
        body = UpstreamBody(answer)
        assert len(await body.read_some()) <= HIGH
        with pytest.raises(Cut, match="malformed"):
            await body.read_some()


async def test_pings_and_settings_within_reason_are_answered(serving: Serving) -> None:
    async def serve(peer: Peer) -> None:
        asked = await peer.asked()
        for number in range(500):
            peer.h2.ping(number.to_bytes(8, "big"))
        peer.answer(asked.stream, b"ok")

    async with serving(serve) as client:
        assert await client.ask(b"x") == b"ok"


async def test_a_dead_connection_is_found_and_left(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first connection says nothing any more, not even to a ping."""
    monkeypatch.setattr(connection, "QUIET", 0.01)
    monkeypatch.setattr(connection, "PATIENCE", 0.05)

    both = asyncio.Event()

    async def serve(peer: Peer) -> None:
        if len(client.peers) > 1:
            await echo(peer)
        peer.flush = lambda: None  # type: ignore[method-assign]
        await peer.asked()
        await peer.asked()
        both.set()

    async with serving(serve) as client:
        held = asyncio.ensure_future(client.ask(b"1"))
        cancelled = asyncio.ensure_future(client.ask(b"2"))
        await asyncio.wait_for(both.wait(), 5)
        await asyncio.sleep(0.05)
        cancelled.cancel()
        await asyncio.sleep(0)
        assert await asyncio.wait_for(client.ask(b"3"), 5) == b"got 3"
        with pytest.raises(ConnectionLost, match="ping"):
            await asyncio.wait_for(held, 5)
        assert any(isinstance(event, PingReceived) for event in client.peers[0].events)
