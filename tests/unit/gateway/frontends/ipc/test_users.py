"""What a user cannot take from the others: places, room, and the daemon's memory."""

from __future__ import annotations

import asyncio
import contextlib
import os

import pytest

from meshd.core.caller import Peer
from meshd.gateway.frontends import acceptor, socket_connection
from meshd.gateway.frontends.admission import STRANGERS_MESSAGE
from meshd.gateway.frontends.shares.connection_places import ConnectionPlaces
from meshd.gateway.frontends.shares.room import Room
from modelmesh import protocol as wire
from tests.support.apps.raw_peer import RawPeer, command, header, message
from tests.support.daemons.served import served_in, until

LIMIT = 8 * 1024**2
ANN, BOB, OWN = 1000, 2000, 3000


@pytest.fixture
def connect(monkeypatch, dial):
    """`connect(address, uid)`: a client of that user; with `raw`, one that speaks ZMTP itself."""
    uids: list[int] = []
    raws = []
    monkeypatch.setattr(acceptor, "of_socket", lambda connected: Peer(uid=uids.pop(0)))

    async def make(address, uid, raw=False):
        uids.append(uid)
        made = RawPeer(address) if raw else dial(address, greet=False)
        if raw:
            raws.append(made)
        await until(lambda: not uids)
        return made

    yield make
    for each in raws:
        each.close()


async def came(line):
    await until(lambda: line.socket.poll(0))
    return line.receive()


def request(size: int) -> bytes:
    """Everything of a REQUEST but the body."""
    head = wire.encode(wire.REQUEST, wire.new_request_id(), wire.RequestHead(path="/v1/chat/completions"))[:3]
    return message([*head, b""])[:-2] + header(size)


# -- places -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/mesh/v1/events"])
def test_a_user_leaves_places_to_others_and_to_operators(short, connect, path):
    async def test(served, address):
        served.operators = {0}
        served.allow_in_flight(32)
        ann, bob, root = [await connect(address, uid) for uid in (ANN, BOB, 0)]
        most = 21 if path.startswith("/v1") else 16
        for _ in range(most):
            ann.request(path)
        await until(lambda: len(served.accepted) == most)
        ann.request(path)
        refusal = (await came(ann)).head
        assert refusal.error["code"] == "queue_full"
        assert f"{most} of them yours" in refusal.error["message"]
        for other in (bob, root):
            other.request(path)
        await until(lambda: len(served.accepted) == most + 2)
        served.accepted[0].reply.respond(b"", {})
        await came(ann)
        for _ in range(most):
            bob.request(path)
        assert (await came(bob)).head.error["code"] == "queue_full"
        root.request(path)
        await until(lambda: served.accepted[-1].caller.uid == 0)

    served_in(short, LIMIT)(test)


def test_a_user_that_connects_again_and_again_is_slowed_down(short, connect, monkeypatch):
    monkeypatch.setattr(acceptor, "user_of", lambda connected: ANN)

    async def test(served, address):
        for _ in range(8):
            (await connect(address, ANN, raw=True)).close()
        refused = RawPeer(address, greet=False)
        await until(refused.ended)
        refused.close()
        monkeypatch.setattr(acceptor, "user_of", lambda connected: 0)
        operator = await connect(address, 0)
        operator.request()
        await until(lambda: served.accepted)

    served_in(short, LIMIT, places=ConnectionPlaces(burst=8, pace=0.001))(test)


@pytest.fixture
def lets_in(monkeypatch):
    """`lets_in(address, uid)`: another connection of that user, or None if it is refused."""
    monkeypatch.setattr(os, "getuid", lambda: OWN)
    made = []

    async def connect(address, uid):
        monkeypatch.setattr(acceptor, "user_of", lambda connected: uid)
        monkeypatch.setattr(acceptor, "of_socket", lambda connected: Peer(uid=uid))
        made.append(RawPeer(address, greet=False))
        made[-1].socket.setblocking(False)
        greeting = await asyncio.get_running_loop().sock_recv(made[-1].socket, 64)
        return made[-1] if greeting else None

    yield connect
    for each in made:
        each.close()


def test_users_share_the_connections_and_leave_some_to_operators(short, lets_in):
    async def test(served, address):
        has = {}
        for uid in (*range(1001, 1010), OWN):
            has[uid] = []
            while peer := await lets_in(address, uid):
                has[uid].append(peer)
        counts = list(map(len, has.values()))
        assert counts[:9] == sorted(counts[:9], reverse=True)
        assert counts[0] == 14
        assert counts[8] > 0
        assert sum(counts) == 64
        assert await lets_in(address, 0), "the daemon's own user cannot take all from root"
        for uid in range(1001, 1005):
            for each in has[uid]:
                each.close()
        await until(lambda: len(served.server.connections.known) == 65 - sum(counts[:4]))
        assert await lets_in(address, 1001)

    served_in(short, LIMIT, places=ConnectionPlaces(most=64))(test)


# -- messages ---------------------------------------------------------------------------------------------


def test_strangers_send_small_messages(short, connect):
    async def test(served, address):
        served.operators = {0}
        ann, root = await connect(address, ANN), await connect(address, 0)
        for line, most in ((ann, STRANGERS_MESSAGE), (root, LIMIT)):
            line.send(wire.HELLO)
            assert (await came(line)).head.max_message_size == most
            line.request(body=b"x" * (most + 1))
            assert (await came(line)).head.error["code"] == "message_too_large"
            line.request(body=b"x" * most)
            await until(lambda line=line: served.accepted)
            served.accepted.pop()

    served_in(short, LIMIT)(test)


def test_many_headers_are_refused(short, connect):
    async def test(served, address):
        line = await connect(address, ANN)
        line.request(headers={f"x-{number}": "" for number in range(101)})
        assert (await came(line)).head.error["code"] == "too_many_fields"
        line.request(headers={f"x-{number}": "" for number in range(100)})
        await until(lambda: served.accepted)

    served_in(short, LIMIT)(test)


def little_room():
    """Eight messages of the largest size; a user that is alone may take a twelfth, or two messages of its own."""
    return Room(8 * STRANGERS_MESSAGE, 1)


def test_unfinished_messages_take_room_from_their_own_user_alone(short, connect):
    async def test(served, address):
        served.operators = {0}
        stalled = [await connect(address, ANN, raw=True) for _ in range(3)]
        for each in stalled:
            each.send(request(STRANGERS_MESSAGE) + b"begun")
        ann, bob = await connect(address, ANN), await connect(address, BOB)
        bob.request(body=b"x" * STRANGERS_MESSAGE)
        await until(lambda: len(served.accepted) == 1)
        ann.request(body=b"small")  # small messages need no room
        await until(lambda: len(served.accepted) == 2)
        ann.request(body=b"x" * STRANGERS_MESSAGE)
        await asyncio.sleep(0.05)
        assert len(served.accepted) == 2, "it waits"
        for each in stalled:
            each.close()
        await until(lambda: len(served.accepted) == 3)
        assert len(served.accepted[-1].body) == STRANGERS_MESSAGE

    served_in(short, LIMIT, room=little_room())(test)


@pytest.mark.parametrize(
    "head", [{"headers": {"x-long": "x" * 60_000}}, {"path": "/v1/" + "x" * 15_000 + "\N{SLIGHTLY SMILING FACE}"}]
)
def test_heads_of_requests_in_flight_take_room(short, connect, head):
    """Also small ones, whose texts take four times as much memory as bytes on the wire."""

    async def test(served, address):
        served.allow_in_flight(128)
        ann, bob = await connect(address, ANN), await connect(address, BOB)
        for _ in range(30):
            ann.request(**head)
        await until(lambda: len(served.accepted) == 30)
        waits = ann.request(body=b"x" * STRANGERS_MESSAGE)
        for _ in range(2):
            bob.request(body=b"x" * STRANGERS_MESSAGE)
        await until(lambda: len(served.accepted) == 32)
        assert waits not in {each.request_id for each in served.accepted}
        for each in served.accepted[:30]:
            each.reply.respond(b"", {})
        await until(lambda: served.accepted[-1].request_id == waits)
        assert served.admission.room.total == sum(each.size for each in served.accepted[30:])

    served_in(short, LIMIT, room=little_room())(test)


def test_a_message_that_finds_no_room_is_refused_after_a_while(short, connect, monkeypatch):
    monkeypatch.setattr(socket_connection, "ROOM_PATIENCE", 0.1)

    async def test(served, address):
        served.operators = {0}
        line = await connect(address, ANN)
        for _ in range(2):
            line.request(body=b"x" * STRANGERS_MESSAGE)
        await until(lambda: len(served.accepted) == 2)
        refused = line.request(body=b"x" * STRANGERS_MESSAGE)
        answer = await came(line)
        assert (answer.request_id, answer.head.error["code"]) == (refused, "queue_full")
        assert answer.head.mesh["retryable"]
        served.accepted.pop().reply.respond(b"", {})
        await came(line)
        line.request(body=b"x" * STRANGERS_MESSAGE)
        await until(lambda: len(served.accepted) == 2)

    served_in(short, LIMIT, room=little_room())(test)


def test_what_is_begun_has_to_be_finished(short, connect):
    async def test(served, address):
        slow, whole = [await connect(address, ANN, raw=True) for _ in range(2)]
        for each in (slow, whole):
            each.send(message(wire.encode(wire.HELLO)))
        slow.send(request(1000) + b"x")
        whole.send(request(0))
        await until(slow.ended)
        assert "it did not finish its message" in served.lost
        assert not whole.ended()

    served_in(short, LIMIT, heartbeat=0.05)(test)


def test_what_never_ends_is_ended(short, connect):
    """A message of endless frames, and questions whose answers are not read."""

    async def test(served, address):
        endless, asking = [await connect(address, ANN, raw=True) for _ in range(2)]

        async with asyncio.timeout(10):
            for peer, data in ((endless, b"\x01\x00"), (asking, command(b"PING", b"\0\0context"))):
                peer.socket.setblocking(False)
                with contextlib.suppress(ConnectionError):
                    while True:
                        await asyncio.get_running_loop().sock_sendall(peer.socket, data * 1000)
        assert served.server.connections.known == set()
        assert served.admission.room.total == 0

    served_in(short, LIMIT, heartbeat=0.1)(test)


def test_unread_answers_take_room_and_then_the_connection(short, connect):
    async def test(served, address):
        served.operators = {0}
        deaf, bob = await connect(address, ANN, raw=True), await connect(address, BOB)
        served.allow_in_flight(64)
        deaf.send(b"".join(request(0) for _ in range(8)))
        await until(lambda: len(served.accepted) == 8)
        for each in served.accepted:
            each.reply.respond(b"x" * STRANGERS_MESSAGE, {})
        assert served.lost == ["it does not read its messages"]
        bob.request(body=b"x" * STRANGERS_MESSAGE)
        await until(lambda: len(served.accepted) == 9)
        assert served.admission.room.total == served.accepted[-1].size

    served_in(short, LIMIT, room=little_room())(test)
