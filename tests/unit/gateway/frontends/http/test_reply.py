"""An answer over HTTP: its status, its headers, and a stream's events."""

from __future__ import annotations

import asyncio

import pytest

from meshd.gateway.frontends.exchange import Request
from meshd.gateway.frontends.http import reply as replies
from modelmesh.errors import MeshError, RateLimitError
from tests.support.daemons.served import until
from tests.support.gateway.http_world import World, post, run


async def stream(request: Request) -> None:
    for text in (b'{"a":1}', b'{"b":2}'):
        await request.reply.chunk(text)


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_a_stream(version: bytes) -> None:
    async def test() -> None:
        world = World(lambda request: None)
        await world.send(post().replace(b"1.1", version, 1))
        (request,) = world.asked
        assert not world.wire.written
        await stream(request)
        request.reply.end(None, {})
        await world.settle()
        body = b'data: {"a":1}\n\ndata: {"b":2}\n\ndata: [DONE]\n\n'
        if version == b"1.0":
            assert world.wire.written.endswith(b"\r\n\r\n" + body)
            assert world.wire.ended
        else:
            (answer,) = world.answers
            assert (answer.status, answer.body) == (200, body)
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert not world.wire.ended

    run(test)


def test_an_error_inside_a_stream_is_told_in_it() -> None:
    async def test() -> None:
        world = World(lambda request: None)
        await world.send(post())
        await stream(world.asked[0])
        world.asked[0].reply.error(MeshError("it broke"))
        await world.settle()
        (answer,) = world.answers
        assert b"it broke" in answer.body.split(b"\n\n")[2]
        assert b"[DONE]" not in answer.body

    run(test)


def test_an_error_has_its_status_and_what_to_do() -> None:
    async def test() -> None:
        told = RateLimitError("slowly", retry_after=1.2, attempts=[{}, {}])
        world = World(lambda request: request.reply.error(told))
        await world.send(post())
        (answer,) = world.answers
        assert answer.status == 429
        assert answer.headers["retry-after"] == "2"
        assert (answer.headers["x-should-retry"], answer.headers["x-mesh-attempts"]) == ("true", "2")

    run(test)


def test_headers_cannot_end_their_line() -> None:
    async def test() -> None:
        mesh = {"pool": "p\r\nX-Evil: 1", "model": "ü\x7f", "provider": "", "cost": 1e-6, "attempts": [{}]}
        odd = {"x-a": "b\r\nX-Evil: 1", "content-length": "7", "a:b c": "d"}
        world = World(lambda request: request.reply.respond(b"{}", mesh, odd))
        await world.send(post())
        (answer,) = world.answers
        assert answer.body == b"{}"
        assert "X-Evil" not in answer.headers
        assert answer.headers["x-mesh-cost"] == "0.000001"
        assert answer.headers["x-mesh-model"] == "\\xfc"

    run(test)


def test_a_silent_stream_is_kept_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "SILENCE", 0.01)

    async def test() -> None:
        world = World(lambda request: None)
        await world.send(post())
        request = world.asked[0]
        await asyncio.sleep(0.03)
        assert not world.wire.written  # not a stream: its status stays open
        request.stream = True
        await until(lambda: world.wire.written.count(b": keepalive\n\n") > 1)
        request.reply.error(MeshError("none"))
        await world.settle()
        (answer,) = world.answers
        assert answer.status == 200
        assert b"none" in answer.body

    run(test)
