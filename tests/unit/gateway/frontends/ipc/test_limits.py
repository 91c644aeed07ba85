"""What one client cannot do to the others, and what a resend gets: the server alone."""

from __future__ import annotations

import asyncio
import os
import stat
import time

import pytest
import zmq

from meshd.core.caller import Peer
from meshd.gateway.frontends import acceptor, admission
from meshd.gateway.frontends.credit import MOST_CREDIT
from meshd.gateway.frontends.ipc import multipart
from meshd.gateway.frontends.shares.room import Room
from modelmesh import InvalidRequestError, MeshError, QueueFullError, RequestCancelledError
from modelmesh import protocol as wire
from tests.support.daemons.served import served_in, until

LIMIT = 64 * 1024


async def came(line):
    await until(lambda: line.socket.poll(0))
    return line.receive()


@pytest.fixture
def run(short):
    return served_in(short, LIMIT)


@pytest.fixture
def line(dial):
    return lambda address, **options: dial(address, greet=False, **options)


# -- resends ----------------------------------------------------------------------------------------------


def test_a_stream_that_has_sent_something_is_not_carried_on_over_another_connection(run, line):
    async def test(served, address):
        first, second = line(address), line(address)
        id = first.request(stream=True)
        await until(lambda: served.accepted)
        await served.accepted[0].reply.chunk(b"one")
        assert (await came(first)).body == b"one"
        second.request(id=id, stream=True, resend=True)
        error = await came(second)
        assert error.head.error["code"] == "stream_interrupted"
        await until(lambda: served.accepted[0].task.cancelled())
        assert isinstance(served.accepted[0].cut_off, MeshError)
        second.request(id=id, stream=True, resend=True)
        assert (await came(second)).head.error["code"] == "request_interrupted"
        assert len(served.accepted) == 1

    run(test)


def test_a_stream_that_has_sent_nothing_is_carried_on(run, line):
    async def test(served, address):
        first, second = line(address), line(address)
        id = first.request(stream=True)
        await until(lambda: served.accepted)
        before = served.accepted[0].reply.connection
        second.request(id=id, stream=True, resend=True)
        await until(lambda: served.accepted[0].reply.connection is not before)
        await served.accepted[0].reply.chunk(b"one")
        assert (await came(second)).body == b"one"

    run(test)


def test_what_a_lost_peer_is_answered_is_not_remembered(run, line):
    async def test(served, address):
        first = line(address)
        request_id = first.request()
        await until(lambda: served.accepted)
        (peer,) = served.connections
        served.server.connections.lose(peer, "gone")
        await until(lambda: not served.admission.in_flight)  # when it is its user's turn
        served.accepted[0].reply.error(RequestCancelledError("cancelled"))
        assert served.admission.known(request_id, peer.caller, resend=True) is None

    run(test)


def test_a_process_that_has_changed_its_name_keeps_its_requests(run, line, monkeypatch):
    names = iter(("python3", "worker"))
    monkeypatch.setattr(acceptor, "of_socket", lambda connected: Peer(uid=1000, pid=7, started=7, name=next(names)))

    async def test(served, address):
        first, second = line(address), line(address)
        request_id = first.request()
        await until(lambda: served.accepted)
        second.request(id=request_id, resend=True)
        await until(lambda: served.accepted[0].reply.connection.caller.name == "worker")
        served.accepted[0].reply.respond(b"answer", {})
        assert (await came(second)).body == b"answer"
        first.request(id=request_id, resend=True)
        assert (await came(first)).body == b"answer"

    run(test)


@pytest.mark.parametrize(("error", "kept"), [(QueueFullError("full"), False), (InvalidRequestError("wrong"), True)])
def test_an_error_is_remembered_unless_another_try_may_go_better(run, line, error, kept):
    async def test(served, address):
        first = line(address)
        request_id = first.request()
        await until(lambda: served.accepted)
        request = served.accepted[0]
        request.reply.error(error)
        assert (served.admission.known(request_id, request.caller, resend=True) is not None) is kept

    assert error.retryable is not kept
    run(test)


@pytest.mark.parametrize("size", [10, 60_000])
def test_no_user_pushes_out_what_is_remembered_for_another(run, line, monkeypatch, size):
    """By many answers, small or large: each user has half of the room at least, and the room is in bytes."""
    uids = iter((1000, 2000))
    monkeypatch.setattr(acceptor, "of_socket", lambda connected: Peer(uid=next(uids)))
    monkeypatch.setattr(admission, "REMEMBERED_SIZE", 1024**2)

    async def test(served, address):
        mine, other = line(address), line(address)

        async def answered(peer, body):
            request_id = peer.request()
            before = len(served.accepted)
            await until(lambda: len(served.accepted) > before)
            served.accepted[-1].reply.respond(body, {})
            await came(peer)
            return request_id

        kept = [await answered(mine, b"mine %d" % number) for number in range(3)]
        for _ in range(700):
            await answered(other, b"x" * size)
        for number, request_id in enumerate(kept):
            mine.request(id=request_id, resend=True)
            assert (await came(mine)).body == b"mine %d" % number
        remembered = served.admission.remembered
        assert sum(answer.size for _, answer in remembered.values()) <= 1024**2
        assert len(remembered) <= 512
        other.request(id=kept[0], resend=True)  # no other client gets it
        await until(lambda: len(served.accepted) == 704)

    run(test)


# -- limits -----------------------------------------------------------------------------------------------


def test_credit_has_a_maximum(run, line):
    async def test(served, address):
        first = line(address)
        id = first.request(stream=True, credit=10**9)
        await until(lambda: served.accepted)
        assert served.accepted[0].reply.credit == MOST_CREDIT
        served.accepted[0].reply.credit = 0
        first.send(wire.CREDIT, id, wire.CreditHead(10**9))
        await until(lambda: served.accepted[0].reply.credit)
        assert served.accepted[0].reply.credit == MOST_CREDIT

    run(test)


def test_listeners_take_no_request_place(run, line, monkeypatch):
    monkeypatch.setattr(admission, "OWN_OPERATIONS", 5)

    async def test(served, address):
        first = line(address)
        for _ in range(5):
            first.request("/mesh/v1/events", stream=True)
        for _ in range(3):
            first.request()
        await until(lambda: len(served.accepted) == 8)
        for path in ("/mesh/v1/status", "/v1/chat/completions"):
            first.request(path)
            assert (await came(first)).head.error["code"] == "queue_full"
        served.accepted[0].reply.respond(b"", {})
        await came(first)
        first.request("/mesh/v1/status")
        await until(lambda: len(served.accepted) == 9)

    run(test)


@pytest.mark.parametrize("beyond", [1, 2 * 1024**2, 40 * 1024**2])
def test_a_message_that_is_too_large_is_refused_with_its_size(run, line, beyond):
    async def test(served, address):
        first = line(address)
        request_id = first.request(body=b"x" * (LIMIT + beyond))
        refusal = await came(first)
        assert (refusal.request_id, refusal.head.error["code"]) == (request_id, "message_too_large")
        assert f"{LIMIT + beyond} bytes" in refusal.head.error["message"]
        first.request(body=b"x" * LIMIT)
        await until(lambda: served.accepted)

    run(test)


def test_a_changed_limit_holds_from_the_next_message(run, line):
    async def test(served, address):
        first = line(address)
        for limit in (10 * LIMIT, LIMIT // 2):
            served.allow(limit)
            first.send(wire.HELLO)
            assert (await came(first)).head.max_message_size == limit
            first.request(body=b"x" * (limit + 1))
            assert (await came(first)).head.error["code"] == "message_too_large"
            first.request(body=b"x" * limit)
            await until(lambda: served.accepted)
            served.accepted.pop().reply.respond(b"", {})
            await came(first)

    run(test)


def test_a_peer_that_takes_nothing_is_lost(short, line):
    async def test(served, address):
        first = line(address, RCVHWM=1)
        first.send(wire.HELLO)
        await until(lambda: served.connections)
        (peer,) = served.connections
        frames = wire.encode(wire.CHUNK, b"1" * 16, None, b"x" * 10_000)
        for _ in range(10_000):
            if not served.server.send(peer, frames):
                break
            await asyncio.sleep(0)
        assert served.lost == ["it does not read its messages"]

    served_in(short, LIMIT, room=Room(4 * LIMIT))(test)


# -- listening --------------------------------------------------------------------------------------------


def test_the_socket_gets_its_mode_and_group_at_every_bind(run, short):
    async def test(served, address):
        served.server.bind(f"ipc://{short}/t", mode=0o640, gid=os.getgid())
        found = (short / "t").stat()
        assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o640, os.getgid())
        if os.getuid():
            with pytest.raises(MeshError, match="cannot set"):
                served.server.bind(f"ipc://{short}/u", gid=0)

    run(test)


def test_messages_that_came_during_a_failed_send_are_read(run, dial, monkeypatch):
    """On inproc://: a send takes note of what has come, and the descriptor does not tell of it again."""

    def in_vain(socket, identity, frames):
        deadline = time.monotonic() + 10
        while not socket.get(zmq.EVENTS) & zmq.POLLIN:
            assert time.monotonic() < deadline, "the other's request does not come"
        raise zmq.ZMQError(zmq.EHOSTUNREACH)

    async def test(served, address):
        served.server.bind("inproc://in-vain")
        gone, other = (dial("inproc://in-vain", greet=False) for _ in range(2))
        gone.send(wire.HELLO)
        await until(lambda: len(served.connections) == 1)
        (peer,) = served.connections
        other.send(wire.HELLO)
        await until(lambda: len(served.connections) == 2)
        monkeypatch.setattr(multipart, "send", in_vain)
        other.chat()
        assert not served.server.send(peer, wire.encode(wire.PONG))
        monkeypatch.undo()
        await until(lambda: served.accepted)
        assert served.lost == ["it closed its connection"]

    run(test)
