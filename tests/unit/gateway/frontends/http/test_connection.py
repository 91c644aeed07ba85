"""One HTTP connection: one request at a time, within bounds of time and room."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from meshd.config.mesh_config import MeshConfig
from meshd.core.caller import Peer
from meshd.gateway.frontends.socket_connection import UNREAD_BYTES
from tests.support.daemons.served import until
from tests.support.garbage import left_by
from tests.support.gateway.http_world import GET, World, post, run


def test_a_client_that_leaves_has_its_request_cancelled() -> None:
    async def test() -> None:
        world = World(lambda request: None)
        await world.send(post() + post())
        (request,) = world.asked  # one at a time
        assert len(world.admission.in_flight) == 1
        world.connection.connection_lost(None)
        assert request.task is not None
        assert request.task.cancelled()
        assert not world.admission.in_flight
        assert world.connection not in world.server.connections

    run(test)


def test_a_client_that_asks_may_send_its_body() -> None:
    async def test() -> None:
        world, asking = World(lambda request: None), post(b"{}", "Expect: 100-continue")
        await world.send(post() + asking[:-2])
        assert not world.wire.written  # the answer before it comes first
        world.asked[0].reply.respond(b"", {}, None)
        await world.settle()
        assert world.statuses == [200, 100]
        await world.send(asking[-2:])
        assert [request.body for request in world.asked] == [b"{}", b"{}"]

    run(test)


def test_what_is_sent_ahead_waits_within_bounds() -> None:
    async def test() -> None:
        world = World(lambda request: None)
        await world.send(*[GET * 100] * 40)
        assert not world.wire.reading
        assert len(world.asked) == 1
        for number in range(4000):
            world.asked[number].reply.respond(b"", {}, None)
            await world.settle()
        assert world.statuses == [200] * 4000
        assert world.wire.reading

    run(test)


def test_a_client_that_reads_slowly_is_waited_for_then_dropped() -> None:
    async def test() -> None:
        world = World(lambda request: None)
        await world.send(post())
        await world.asked[0].reply.chunk(b"1")
        world.connection.pause_writing()
        sending = asyncio.ensure_future(world.asked[0].reply.chunk(b"2"))
        await world.settle()
        assert not sending.done()
        world.connection.resume_writing()
        await asyncio.wait_for(sending, 5)
        world.asked[0].reply.end(None, {})
        world.wire.unread = 5
        world.connection.check(1e12, 75.0)
        assert not world.wire.closing  # it may still be reading
        world.connection.check(2e12, 75.0)
        assert world.wire.closing

    run(test)


def test_a_client_with_much_to_read_is_held_back_then_dropped() -> None:
    async def test() -> None:
        world = World()
        world.connection.pause_writing()
        world.wire.unread = UNREAD_BYTES + 1
        await world.send(GET + GET + GET[:5])
        assert world.statuses == [200]  # the others wait
        assert not world.wire.reading
        world.connection.check(1e12, 75.0)
        world.wire.unread -= 1
        world.connection.check(2e12, 75.0)
        assert not world.wire.closing
        world.wire.unread = 0
        world.connection.resume_writing()
        await world.settle()
        assert world.statuses == [200] * 2
        assert world.wire.reading

        world.connection.pause_writing()
        world.wire.unread = UNREAD_BYTES + 1
        await world.send(GET[5:])
        world.connection.check(3e12, 75.0)
        world.connection.check(4e12, 75.0)
        assert world.wire.closing
        assert world.admission.room.total == 0

    run(test)


def test_tokens_have_shares_of_their_own() -> None:
    """Also where all of them come from one address."""
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("ann", "bob")}

    async def test() -> None:
        world = World(lambda request: None)
        tokens = [{"app": name, "hash": digest} for name, digest in digests.items()]
        world.server.use(MeshConfig({"proxy": {"auth": {"tokens": tokens}}}))
        world.admission.connections.capacity = 64
        peer = Peer(network="192.0.2.1")
        for name in ("ann", "bob"):
            world.connect(peer)
            await world.send(post(b"{}", f"Authorization: Bearer {name}"))
            assert world.admission.connections.of(digests[name]) == 1
            assert world.admission.room.of(digests[name]) > 0
        assert [request.caller.app for request in world.asked] == ["ann", "bob"]
        await world.send(post(b"{}", "Authorization: Bearer ann")[:-1])
        assert world.admission.connections.of(digests["ann"]) == 2
        world.connect(peer)
        await world.send(post())
        assert world.admission.connections.of(peer.shares_as) == 1
        assert world.statuses == [403]
        for connection in list(world.server.connections):
            connection.connection_lost(None)
        assert world.admission.room.total == world.admission.connections.total == 0

    run(test)


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [(b"", []), (GET, [200]), (GET[:10], [408]), (post(b"{}")[:-1], [408]), (b"\r\n", [408])],
)
def test_who_waits_too_long_is_closed(sent: bytes, statuses: list[int]) -> None:
    async def test() -> None:
        world = World()
        if sent:
            await world.send(sent)
        world.connection.check(1e12, 75.0)
        await world.settle()
        assert world.statuses == statuses
        assert world.wire.closing or world.wire.ended
        assert world.admission.room.total == 0

    run(test)


@pytest.mark.interpreted
def test_a_body_without_room_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        world = World()
        monkeypatch.setattr("meshd.gateway.frontends.socket_connection.ROOM_PATIENCE", 0.01)
        monkeypatch.setattr(world.admission, "has_room", lambda *_: False)
        await world.send(post(b"{}")[:-2], b"{}")
        assert not world.wire.written
        await until(lambda: world.wire.ended)
        assert world.statuses == [429]

    run(test)


def test_draining_closes_what_is_idle_and_what_is_answered() -> None:
    async def test() -> None:
        world, idle = World(lambda request: None), World()
        await world.send(post())
        world.server.drain("", 1.0)
        idle.server.drain("", 1.0)
        assert idle.wire.closing
        world.asked[0].reply.respond(b"{}", {}, None)
        await world.settle()
        assert world.answers[0].headers["connection"] == "close"
        assert world.wire.ended

    run(test)


def test_a_closed_connection_leaves_nothing_for_the_garbage_collector() -> None:
    async def test() -> None:
        world = World()

        def connections() -> None:
            for _ in range(20):
                world.connect()
                world.connection.data_received(post(b"{}"))
                world.connection.connection_lost(None)
            world.asked.clear()

        assert left_by(connections) < 20

    run(test)
