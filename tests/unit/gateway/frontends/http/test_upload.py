"""A body that is read while it comes: within bounds, however it comes."""

from __future__ import annotations

import asyncio

import pytest

from meshd.gateway.frontends.exchange import Request
from modelmesh.errors import MeshError
from tests.support.gateway.http_world import GET, World, chunked, post, run

PATH = "/providers/p/x"
SIZE = 1_000_000


def head(*headers: str) -> bytes:
    return post(b"", *headers, path=PATH, length=False)


async def read(request: Request) -> bytes:
    assert request.upload is not None
    whole = b""
    while data := await request.upload.read():
        whole += data
    return whole


def test_no_more_of_it_is_held_than_a_piece() -> None:
    async def test() -> None:
        world = World(lambda request: None, limit=SIZE)
        await world.send(head(f"Content-Length: {SIZE}"))
        (request,) = world.asked
        sent = 0
        while world.wire.reading:
            await world.send(bytes(50_000))
            sent += 50_000
        assert sent <= 200_000
        assert world.admission.room.total <= sent
        reading = asyncio.create_task(read(request))
        while sent < SIZE:
            await world.settle()
            assert world.wire.reading, "it was read"
            await world.send(bytes(50_000))
            sent += 50_000
        assert await reading == bytes(SIZE)
        request.reply.respond(b"", {}, None)
        await world.settle()
        assert (world.statuses, world.admission.room.total) == ([200], 0)

    run(test)


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_what_follows_it_is_answered_after_it(size: int) -> None:
    async def test() -> None:
        world = World(lambda request: None, limit=SIZE)
        data = head("Transfer-Encoding: chunked") + chunked(b"one ", b"two ", b"three") + GET
        await world.send(*(data[at : at + size] for at in range(0, len(data), size)))
        (request,) = world.asked
        assert await read(request) == b"one two three"
        request.reply.respond(b"", {}, None)
        await world.settle()
        assert [each.path for each in world.asked] == [PATH, "/v1/models"]
        assert world.answers[0].headers.get("connection") is None

    run(test)


@pytest.mark.parametrize(("rest", "status"), [(chunked(bytes(1500)), 413), (b"no size\r\n", 400)])
def test_what_is_wrong_with_it_is_told_once(rest: bytes, status: int) -> None:
    async def test() -> None:
        world = World(lambda request: None)
        await world.send(head("Transfer-Encoding: chunked") + chunked(b"good")[:-5], rest)
        (request,) = world.asked
        with pytest.raises(MeshError) as caught:
            await read(request)
        assert caught.value.status_code == status
        request.reply.error(caught.value)
        await world.send(GET)
        assert world.statuses == [status]
        assert world.wire.ended

    run(test)


def test_an_answer_before_its_end_closes_the_connection() -> None:
    async def test() -> None:
        world = World(limit=SIZE)
        await world.send(head(f"Content-Length: {SIZE}"))
        assert world.answers[0].headers["connection"] == "close"
        await world.send(bytes(1000), GET)
        assert (world.statuses, world.wire.ended) == ([200], True)

    run(test)


def test_short_ones_and_those_of_other_paths_are_read_whole() -> None:
    async def test() -> None:
        world = World(lambda request: None)
        await world.send(post(b"short", path=PATH))
        world.asked[0].reply.respond(b"", {}, None)
        await world.send(post(b"", "Transfer-Encoding: chunked", length=False))
        assert len(world.asked) == 1, "it waits for its body"
        await world.send(chunked(b"{}"))
        assert [(each.body, each.upload) for each in world.asked] == [(b"short", None), (b"{}", None)]

    run(test)
