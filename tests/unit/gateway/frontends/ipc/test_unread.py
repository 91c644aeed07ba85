"""Clients that read slowly, or not at all: backpressure, and nothing is lost that is being read."""

from __future__ import annotations

import asyncio

import pytest

from modelmesh import protocol as wire
from tests.support.apps.raw_peer import RawPeer, command, message
from tests.support.daemons.served import served_in, until

MIB = 1024**2


@pytest.fixture
def raw():
    """`raw(address)`: a client that speaks ZMTP itself, and reads when it is told to."""
    made = []

    def make(address):
        made.append(RawPeer(address))
        return made[-1]

    yield make
    for each in made:
        each.close()


def request(path: str = "/v1/chat/completions") -> bytes:
    return message(wire.encode(wire.REQUEST, wire.new_request_id(), wire.RequestHead(path=path)))


async def read(peer: RawPeer, size: int) -> None:
    """So many bytes, if they come."""
    peer.socket.setblocking(False)
    while size > 0:
        came = await asyncio.get_running_loop().sock_recv(peer.socket, min(size, 65536))
        assert came, "the connection was closed"
        size -= len(came)


@pytest.mark.parametrize(("size", "count"), [(3 * MIB, 6), (64 * MIB, 2)])
def test_large_bodies_go_both_ways_at_once(short, dial, size, count):
    """They are answered at the same instant, before the client can have read any of them."""

    async def test(served, address):
        line = dial(address, greet=False)
        body = bytes(size)
        asked = [line.request(body=body) for _ in range(count)]
        await until(lambda: len(served.accepted) == count)
        assert all(len(each.body) == size for each in served.accepted)
        for each in served.accepted:
            each.reply.respond(body, {})
        for _ in range(count):
            await until(lambda: line.socket.poll(0))
            answer = line.receive(wire.RESPONSE)
            asked.remove(answer.request_id)
            assert len(answer.body) == size
        served.accepted.clear()
        await until(lambda: served.admission.room.total == 0)
        assert served.lost == []

    def with_places(served, address):
        served.allow_in_flight(64)
        return test(served, address)

    served_in(short, 64 * MIB)(with_places)


def test_a_client_with_much_to_read_is_not_read_until_it_has_read(short, raw, dial):
    async def test(served, address):
        served.allow_in_flight(64)
        slow, other = raw(address), dial(address, greet=False)
        slow.send(request())
        await until(lambda: served.accepted)
        served.accepted[0].reply.respond(bytes(5 * MIB), {})
        slow.send(request("/second"))
        other.request("/other")
        await until(lambda: len(served.accepted) == 2)
        assert served.accepted[1].path == "/other"
        await read(slow, 5 * MIB)
        await until(lambda: len(served.accepted) == 3)
        assert served.accepted[2].path == "/second"
        served.accepted[2].reply.respond(b"", {})
        await read(slow, 1)
        assert served.lost == []

    served_in(short)(test)


def test_who_reads_slowly_is_alive_and_who_stops_is_not(short, raw):
    async def test(served, address):
        slow = raw(address)
        slow.send(request() + request())
        await until(lambda: len(served.accepted) == 2)
        served.accepted[0].reply.respond(bytes(8 * MIB), {})
        began = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() < began + 8 * HEARTBEAT:
            await read(slow, 65536)
            await asyncio.sleep(HEARTBEAT / 8)
        assert served.lost == []
        assert served.admission.room.total < 8 * MIB, "what it has read takes no room"
        await until(lambda: served.lost == ["it does not read its messages"])
        assert served.admission.room.total == 0

    served_in(short, heartbeat=HEARTBEAT)(test)


HEARTBEAT = 0.1  # s


def test_pings_wait_for_their_answers_to_be_read(short, raw):
    async def test(served, address):
        peer, count = raw(address), 20_000
        await read(peer, 64)
        peer.socket.setblocking(False)
        pings = command(b"PING", b"\0\0context") * count
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(peer.socket, pings))
        await until(lambda: any(each.held_back for each in served.server.connections.known))
        assert not sending.done()
        await read(peer, len(command(b"PONG", b"context")) * count)
        await sending
        assert served.lost == []

    served_in(short)(test)
