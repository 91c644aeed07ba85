"""Anything that a server sends over HTTP/2 is an answer or an honest error; other exchanges keep theirs."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from hpack import Encoder
from hypothesis import given
from hypothesis import strategies as some

from meshd.net.failures import NotHttp, TransportError
from meshd.net.http2.connection import Http2Connection
from meshd.net.http2.frames import MOST_SPARE, Frames, Spare, going_away
from meshd.net.http2.heads import fields_of
from tests.support.providers.servers.http2_server import frame, goaway
from tests.unit.net.test_http1 import Wire

HEAD = b"POST /v1 HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer k\r\nContent-Length: 4\r\n\r\n"
OK = b"\x88"  # :status 200

kinds = some.integers(0, 12)
flags = some.sampled_from([0, 1, 4, 5, 8, 0x0C, 0x20, 0xFF])
streams = some.sampled_from([0, 1, 3, 3, 5, 2, 2**31 - 1])
blocks = some.one_of(
    some.binary(max_size=40),
    some.just(OK),
    some.lists(
        some.tuples(
            some.sampled_from([b":status", b"content-length", b"a", b":path", b"A", b"transfer-encoding", b"te", b""]),
            some.sampled_from([b"200", b"2", b"204", b"100", b"", b"x" * 50, b"\xff", b"a\r\nb"]),
        ),
        max_size=4,
    ).map(lambda fields: Encoder().encode(fields)),
)
odd = some.builds(frame, kinds, flags, streams, blocks)
good = some.sampled_from(
    [
        frame(4, 0, 0), frame(4, 1, 0), frame(4, 0, 0, b"\0\3\0\0\0\1"), frame(4, 0, 0, b"\0\4\x7f\xff\xff\xff"),
        frame(4, 0, 0, b"\0\4\0\0\0\0"), frame(4, 0, 0, b"\0\1\0\0\0\0"), frame(8, 0, 0, b"\x7f\xff\xff\xff"),
        frame(8, 0, 1, b"\x7f\0\0\0"), frame(1, 4, 1, OK), frame(1, 5, 1, OK), frame(1, 4, 3, OK), frame(0, 0, 1, b"a"),
        frame(0, 1, 1), frame(0, 9, 3, b"\1b\0"), frame(1, 4, 1, b"\x08\x03103"), frame(3, 0, 1, b"\0\0\0\7"),
        frame(3, 0, 3, b"\0\0\0\x0d"), goaway(1), goaway(0, 11), frame(6, 0, 0, bytes(8)), frame(9, 4, 1, b"a"),
    ]
)  # fmt: skip


def given_bytes(data: bytes, cuts: list[int]) -> list[str]:
    """What becomes of two exchanges."""

    async def run() -> list[str]:
        loop = asyncio.get_running_loop()
        told: list[str] = []
        loop.set_exception_handler(lambda _, context: told.append(str(context)))
        ended: list[Http2Connection] = []
        connection, wire = Http2Connection(loop, ended.append, lambda _: None, lambda _: None), Wire()
        connection.connection_made(wire)
        answers = [connection.ask(HEAD, b"body"), connection.ask(HEAD, b"x" * 100_000)]
        for start, end in itertools.pairwise(sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})):
            if not wire.closing:
                connection.data_received(data[start:end])
                await asyncio.sleep(0)
        connection.connection_lost(None)
        for answer in answers:
            try:
                async with asyncio.timeout(1):
                    await answer.head()
                    size = 0
                    while piece := await answer.read():
                        size += len(piece)
                told.append(f"{answer.status} {size}")
            except TransportError as error:
                told.append(type(error).__name__)
        assert len(ended) == 2
        return told

    return asyncio.run(run())


@given(
    data=some.lists(some.one_of(odd, good, good), max_size=12).map(b"".join), cuts=some.lists(some.integers(0, 4000))
)
def test_any_frames_are_answers_or_errors(data: bytes, cuts: list[int]) -> None:
    for told in given_bytes(frame(4, 0, 0) + data, cuts):
        errors = {"Disconnected", "Cut", "NotHttp", "ConnectionLost", "Refused", "Http1Required", "Cancelled"}
        assert told in errors or told.split()[0].isdigit(), told


@given(data=some.binary(max_size=200), cuts=some.lists(some.integers(0, 4000)))
def test_any_bytes_are_answers_or_errors(data: bytes, cuts: list[int]) -> None:
    assert set(given_bytes(data, cuts)) <= {"Disconnected", "NotHttp", "ConnectionLost"}


@given(cuts=some.lists(some.integers(0, 4000), max_size=20))
def test_frames_in_pieces(cuts: list[int]) -> None:
    whole = frame(1, 4, 3, OK) + frame(0, 0, 3, b"hi") + frame(0, 1, 3) + frame(1, 5, 1, OK)
    assert given_bytes(whole, cuts) == ["200 0", "200 2"]


def test_frames_are_cut_where_they_end() -> None:
    frames = Frames()
    frames.add(frame(0, 0, 1, b"ab") + frame(6, 1, 0, bytes(8))[:5])
    assert frames.next() == (0, 1, frame(0, 0, 1, b"ab"))
    assert frames.next() is None
    frames.add(frame(6, 1, 0, bytes(8))[5:])
    assert frames.next() == (6, 0, frame(6, 1, 0, bytes(8)))
    frames.add(b"HTTP/1.1 400")
    with pytest.raises(NotHttp, match="4740180 bytes"):
        frames.next()


def test_going_away() -> None:
    frames = Frames()
    frames.add(goaway(2**31 - 1, 11))
    found = frames.next()
    assert found is not None
    assert going_away(found) == (2**31 - 1, 11)


def test_time_and_use_give_back_what_is_without_use() -> None:
    spare = Spare(0.0)
    for _ in range(MOST_SPARE):
        spare.spend(0.0)
    with pytest.raises(NotHttp):
        spare.spend(0.0)
    spare = Spare(0.0)
    for second in range(100):
        for _ in range(90):
            spare.spend(float(second))
    for _ in range(3 * MOST_SPARE):
        spare.earn(1)
        spare.spend(100.0)


def test_a_head_in_the_form_of_http2() -> None:
    fields: Any = fields_of(
        b"GET /a?b=c HTTP/1.1\r\nX-Key: s: e\r\nhost: api.test:8443\r\nConnection: x\r\nTE: trailers\r\n"
        b"Upgrade: h2c\r\nAccept: */*\r\nX-Empty:\r\n"
    )
    assert [tuple(field) for field in fields] == [
        (b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"api.test:8443"), (b":path", b"/a?b=c"),
        (b"x-key", b"s: e"), (b"accept", b"*/*"), (b"x-empty", b""),
    ]  # fmt: skip
    assert [field.indexable for field in fields] == [True, True, True, False, False, True, False]
