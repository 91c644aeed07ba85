"""Requests and answers over HTTP/2, with a real server of it."""

from __future__ import annotations

import asyncio

import pytest
from h2.events import RequestReceived, StreamReset
from h2.settings import SettingCodes

from meshd.net.answers import HIGH
from meshd.net.failures import Cancelled, Cut, NotHttp
from meshd.net.http import UpstreamBody
from tests.support.providers.servers.http2_server import Peer, frame
from tests.unit.net.http2.conftest import Serving

TWO_AT_ONCE = frame(4, 0, 0, b"\0\3\0\0\0\2")


async def echo(peer: Peer) -> None:
    while True:
        asked = await peer.asked()
        peer.answer(asked.stream, b"got " + bytes(asked.body))


async def test_an_exchange(serving: Serving) -> None:
    async def serve(peer: Peer) -> None:
        asked = await peer.asked()
        peer.answer(asked.stream, b"hello", 201, content_length="5", x_a="b")

    async with serving(serve) as client:
        answer = await client.send(
            b"body", path="/v1/x?a=b", **{"Authorization": "Bearer k", "TE": "gzip", "Keep-Alive": "5", "X-Up": " V "}
        )
        assert (answer.status, answer.content_length, answer.header(b"x-a")) == (201, 5, "b")
        assert answer.headers == [(b"content-length", b"5"), (b"x-a", b"b")]
        assert await UpstreamBody(answer).read(100) == b"hello"
        (request,) = [event for event in client.peers[0].events if isinstance(event, RequestReceived)]
        headers = dict(request.headers)
        assert headers.pop(":authority").startswith("127.0.0.1:")
        assert headers == {
            ":method": "POST", ":scheme": "https", ":path": "/v1/x?a=b", "authorization": "Bearer k", "x-up": "V",
            "content-length": "4",
        }  # fmt: skip


async def test_large_headers(serving: Serving) -> None:
    async def serve(peer: Peer) -> None:
        peer.h2.update_settings({SettingCodes.HEADER_TABLE_SIZE: 2**31})
        while True:
            asked = await peer.asked()
            peer.answer(asked.stream, b"ok", x_large="a" * int(asked.body))

    async with serving(serve) as client:
        for size in (40_000, 50_000, 60_000):
            answer = await client.send(b"%d" % size, **{"User-Agent": "a" * (size // 3), "X-Large": "b" * (size // 3)})
            assert len(answer.header(b"x-large")) == size
            assert await UpstreamBody(answer).read(10) == b"ok"
        with pytest.raises(NotHttp, match="eader"):
            await client.send(b"70000")


async def test_requests_share_one_connection(serving: Serving) -> None:
    async def serve(peer: Peer) -> None:
        all = [await peer.asked() for _ in range(40)]
        for asked in reversed(all):
            peer.answer(asked.stream, bytes(asked.body))
        await echo(peer)

    async with serving(serve) as client:
        bodies = [b"%d" % number for number in range(40)]
        assert await asyncio.gather(*map(client.ask, bodies)) == bodies
        assert await client.ask(b"x") == b"got x"
        assert len(client.peers) == 1


async def test_no_more_streams_than_the_server_takes(serving: Serving) -> None:
    open = most = 0

    async def serve(peer: Peer) -> None:
        nonlocal open, most
        while True:
            asked = await peer.asked()
            open += 1
            most = max(most, open)
            await asyncio.sleep(0.005)
            open -= 1
            peer.answer(asked.stream, b"ok")

    async with serving(serve, TWO_AT_ONCE, max_connections=2) as client:
        await client.ask(b"first")  # by now the limit is known
        assert await asyncio.gather(*(client.ask(b"x") for _ in range(20))) == [b"ok"] * 20
        assert len(client.peers) == 2
        assert most <= 4


async def test_events_come_as_they_are_sent(serving: Serving) -> None:
    more = asyncio.Event()

    async def serve(peer: Peer) -> None:
        asked = await peer.asked()
        peer.answer(asked.stream, b"data: 1\n\n", end=False)
        await more.wait()
        peer.h2.send_data(asked.stream, b"data: 2\n\n")
        peer.h2.send_headers(asked.stream, [("x-trailer", "a")], end_stream=True)
        peer.flush()

    async with serving(serve) as client:
        body = UpstreamBody(await client.send(b"x"))
        assert await body.read_some() == b"data: 1\n\n"
        more.set()
        assert await body.read_some() == b"data: 2\n\n"
        assert await body.read_some() == b""


@pytest.mark.parametrize("status", [204, 304, 200])
async def test_answers_without_body(serving: Serving, status: int) -> None:
    async def serve(peer: Peer) -> None:
        asked = await peer.asked()
        peer.h2.send_headers(asked.stream, [(":status", "103"), ("link", "x")])
        length = {"content_length": "7"} if status == 200 else {}
        peer.answer(asked.stream, b"", status, **length)

    async with serving(serve) as client:
        answer = await client.send(method="HEAD")
        assert answer.status == status
        assert answer.header(b"link") == ""
        assert await UpstreamBody(answer).read(10) == b""


async def test_a_cancelled_request_is_reset_and_the_others_go_on(serving: Serving) -> None:
    both = asyncio.Event()

    async def serve(peer: Peer) -> None:
        first, second = await peer.asked(), await peer.asked()
        assert first.body == b"1"
        both.set()
        reset = await peer.sees(StreamReset)
        assert isinstance(reset, StreamReset)
        assert (reset.stream_id, int(reset.error_code)) == (first.stream, 8)
        peer.answer(second.stream, b"fine")

    async with serving(serve) as client:
        first = asyncio.ensure_future(client.ask(b"1"))
        second = asyncio.ensure_future(client.ask(b"2"))
        await asyncio.wait_for(both.wait(), 5)
        first.cancel()
        assert await asyncio.wait_for(second, 5) == b"fine"
        assert len(client.peers) == 1


async def test_a_stream_that_is_not_read_is_held_up_alone(serving: Serving) -> None:
    async def serve(peer: Peer) -> None:
        asked = await peer.asked()
        peer.answer(asked.stream, b"", end=False)
        sent = 0
        while (window := peer.h2.local_flow_control_window(asked.stream)) > 0:
            peer.h2.send_data(asked.stream, b"a" * min(window, 16_000))
            sent += min(window, 16_000)
            peer.flush()
            await peer.drain()
        assert sent == HIGH
        await echo(peer)

    async with serving(serve) as client:
        stuck = await client.send(b"x")
        for number in range(20):
            assert await asyncio.wait_for(client.ask(b"%d" % number), 5) == b"got %d" % number
        assert len(await stuck.read()) <= HIGH
        stuck.abort()


@pytest.mark.parametrize("gone", [0, 3_000_000])
async def test_large_bodies_in_both_directions(serving: Serving, gone: int) -> None:
    async def serve(peer: Peer) -> None:
        asked = await peer.asked()
        peer.answer(asked.stream, b"", end=False)
        left = memoryview(asked.body)
        while left:
            window = min(peer.h2.local_flow_control_window(asked.stream), 16_384)
            if window <= 0:
                await peer.more()
                continue
            peer.h2.send_data(asked.stream, left[:window], end_stream=len(left) <= window, pad_length=None)
            left = left[window:]
            peer.flush()

    async with serving(serve) as client:
        body = bytes(range(256)) * (gone // 256 + 2000)
        assert await asyncio.wait_for(client.ask(body), 20) == body


async def test_a_body_that_still_comes(serving: Serving) -> None:
    class Source:
        length: int | None = None

        def __init__(self) -> None:
            self.pieces = [b"a" * 100_000, b"b", b"c" * 100_000]

        async def read(self) -> bytes:
            return self.pieces.pop(0) if self.pieces else b""

    async def serve(peer: Peer) -> None:
        asked = await peer.asked()
        peer.answer(asked.stream, b"%d" % len(asked.body))

    async with serving(serve) as client:
        answer, sending = await client.transport.send_from(client.head("PUT"), Source(), 5.0)
        assert await UpstreamBody(answer).read(100) == b"200001"
        sending.cancel()
        assert len(client.peers) == 1


async def test_an_answer_before_the_request_was_sent(serving: Serving) -> None:
    async def serve(peer: Peer) -> None:
        peer.gives = False
        asked = await peer.sees(RequestReceived)
        assert isinstance(asked, RequestReceived)
        peer.answer(asked.stream_id or 0, b"too large", 413)
        await peer.sees(StreamReset)
        peer.h2.increment_flow_control_window(100_000)
        await echo(peer)

    async with serving(serve) as client:
        answer = await client.send(b"a" * 1_000_000)
        assert (answer.status, await UpstreamBody(answer).read(100)) == (413, b"too large")
        await asyncio.wait_for(client.ask(b"x"), 5)
        assert len(client.peers) == 1


@pytest.mark.parametrize(("begun", "error"), [(False, Cancelled), (True, Cancelled)])
async def test_a_reset_is_that_requests_alone(serving: Serving, begun: bool, error: type[Exception]) -> None:
    async def serve(peer: Peer) -> None:
        asked = await peer.asked()
        if begun:
            peer.answer(asked.stream, b"part", end=False)
        peer.h2.reset_stream(asked.stream, 2)
        peer.flush()
        await echo(peer)

    async with serving(serve) as client:
        with pytest.raises(error, match="INTERNAL_ERROR"):
            await client.ask(b"x")
        assert await client.ask(b"y") == b"got y"
        assert len(client.peers) == 1


async def test_a_lost_connection(serving: Serving) -> None:
    async def serve(peer: Peer) -> None:
        asked = await peer.asked()
        peer.answer(asked.stream, b"part", end=False)
        peer.close()

    async with serving(serve) as client:
        body = UpstreamBody(await client.send(b"x"))
        assert await body.read_some() == b"part"
        with pytest.raises(Cut):
            await body.read_some()
