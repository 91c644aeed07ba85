"""Whatever a client sends, in whatever pieces, gets answers in order or an honest error."""

from __future__ import annotations

import asyncio
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from meshd.gateway.frontends.http.incoming import MOST_FIELDS, MOST_HEAD
from tests.support.gateway.http_world import CHAT, GET, LIMIT, World, chunked, cut, post, run

cuts = some.lists(some.integers(0, 4000), max_size=8)


@pytest.mark.parametrize(
    ("data", "statuses", "bodies", "stays"),
    [
        (post(b'{"a":1}'), [200], [b'{"a":1}'], True),
        (post(chunked(b'{"a"', b":1}"), "Transfer-Encoding: chunked", length=False), [200], [b'{"a":1}'], True),
        (GET + post(b"{}") + GET, [200] * 3, [b"", b"{}", b""], True),
        (GET * 12, [200] * 12, [b""] * 12, True),
        (b"\r\n" + GET, [200], [b""], True),
        (GET.replace(b"1.1", b"1.0"), [200], [b""], False),
        (GET.replace(b"1.1", b"1.0").replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"), [200], [b""], True),
        (post(b"{}", "Connection: close") + GET, [200], [b"{}"], False),
        (post(chunked(b"{}"), "Connection: Upgrade", "Upgrade: h2c", "Transfer-Encoding: chunked", length=False) + GET,
         [200, 200], [b"{}", b""], True),
        (post(b"{}", "Connection: Upgrade", "Upgrade: h2c") + GET, [200, 200], [b"{}", b""], True),
        (GET.replace(b"GET /", b"GET http://127.0.0.1/"), [200], [b""], True),
        (post(b"{}", path=f"{CHAT}?x=1"), [200], [b"{}"], True),
        (b"HEAD /v1/models HTTP/1.1\r\nHost: [::1]:8741\r\n\r\n" + GET, [200, 200], [b"", b""], True),
        # refused, but understood: the connection stays
        (post(b"{}", path="/v1/chat") + GET, [404, 200], [b""], True),
        (post(b"{}", path="/mesh/v1/reload") + GET, [404, 200], [b""], True),
        (b"DELETE /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n" + GET, [405, 200], [b""], True),
        (post(b"x" * (LIMIT + 1)) + GET, [413, 200], [b""], True),
        (post(b"{}", "Content-Encoding: gzip") + GET, [415, 200], [b""], True),
        (GET.replace(b"localhost", b"evil.example") + GET, [403, 200], [b""], True),
        (b"OPTIONS /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n" + GET, [204, 200], [b""], True),
        # refused, and closed
        (post(b"", "Content-Length: 9999999", length=False), [413], [], False),
        (post(b"", "Content-Length: 5000", "Expect: 100-continue", length=False), [413], [], False),
        (post(chunked(b"x" * LIMIT, b"y"), "Transfer-Encoding: chunked", length=False), [413], [], False),
        (post(b"{}", "Connection: Upgrade", "Upgrade: websocket"), [426], [], False),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: localhost\r\n\r\n", [404], [], False),
        (post(b"{}", "Transfer-Encoding: chunked"), [400], [], False),
        (post(b"{}", "Content-Length: 2"), [400], [], False),
        (post(b"{}", "Content-Length: +2", length=False), [400], [], False),
        (post(b"{}", "Transfer-Encoding: gzip, chunked", length=False), [501], [], False),
        (post(b"{}", "Transfer-Encoding: gzip", length=False), [501], [], False),
        (post(b"{}", "Host: localhost"), [400], [], False),
        (post(b"zz", "Transfer-Encoding: chunked", length=False), [400], [], False),
        (b"GET /v1/models HTTP/1.1\r\n\r\n", [400], [], False),
        (b"GET /v1/models HTTP/2.0\r\nHost: localhost\r\n\r\n", [505], [], False),
        (b"GET /v1/models\r\n\r\n", [505], [], False),
        (b"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n", [405], [], False),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nA : b\r\n\r\n", [400], [], False),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nA: b\r\n c\r\n\r\n", [400], [], False),
        (b"GET / HTTP/1.1\nHost: localhost\n\n", [400], [], False),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400], [], False),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", [405], [], False),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"a" * MOST_HEAD, [431], [], False),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * (MOST_FIELDS + 1), [431], [], False),
        (b"GET /" + b"a" * MOST_HEAD, [431], [], False),
        (b"\r\n" * MOST_HEAD, [431], [], False),
    ],
    ids=lambda value: repr(value[:60]) if isinstance(value, bytes) else None,
)  # fmt: skip
@settings(max_examples=15)
@given(places=cuts)
def test_requests_in_pieces(
    data: bytes, statuses: list[int], bodies: list[bytes], stays: bool, places: list[int]
) -> None:
    async def test() -> None:
        world = World()
        await world.send(*cut(data, places))
        assert world.statuses == statuses
        assert [request.body for request in world.asked] == bodies
        assert (not world.wire.ended and not world.wire.closing) == stays
        assert world.admission.room.total == 0
        for answer in world.answers:
            if answer.status >= 400:
                assert json.loads(answer.body)["error"]["message"]
        assert all(len(answer.headers.get("x-request-id", "")) == 32 for answer in world.answers if answer.status > 199)

    run(test)


@settings(max_examples=200)
@given(
    data=some.binary(max_size=300),
    before=some.sampled_from([b"", b"POST ", GET[:20], GET[:-2], post()[:-3]]),
    places=cuts,
)
def test_anything_is_answered_or_awaited(data: bytes, before: bytes, places: list[int]) -> None:
    async def test() -> None:
        world = World()
        await world.send(*cut(before + data, places))
        for answer in world.answers:
            assert answer.status in (100, 200, 400, 403, 404, 405, 413, 415, 426, 431, 501, 505)

    run(test)


def test_twenty_thousand_malformed_requests() -> None:
    """Each on a connection of its own, and then a good one."""
    chance = random.Random(11)
    seeds = [post(b'{"a":1}'), post(chunked(b"ab"), "Transfer-Encoding: chunked", length=False), GET]

    async def test() -> None:
        world = World()
        for _ in range(20_000):
            data = bytearray(chance.choice(seeds))
            for _ in range(chance.randint(1, 6)):
                at = chance.randrange(len(data))
                kind = chance.randrange(3)
                if kind == 0:
                    data[at] = chance.randrange(256)
                elif kind == 1:
                    del data[at : at + chance.randint(1, 5)]
                else:
                    data[at:at] = chance.choice([b"\r\n", b"\0", b":", b" ", b"\xff", b"0" * 20, b"Host: a\r\n"])
                data = data or bytearray(b"x")
            world.connection.data_received(bytes(data))
            world.connection.connection_lost(None)
            world.wire.abort()
            world.connect()
            await asyncio.sleep(0)
        await world.send(GET)
        assert world.statuses == [200]
        assert world.admission.room.total == 0
        assert not world.admission.in_flight

    run(test)
