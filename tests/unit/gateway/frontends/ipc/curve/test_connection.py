"""Long frames are sealed and opened beside the loop, and leave in their order; the server alone, over TCP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

pytest.importorskip("nacl", reason="needs modelmesh[curve]")

from meshd.gateway.frontends.ipc.curve import session
from meshd.gateway.frontends.ipc.zmtp_handshake import LONG_FRAME
from modelmesh import protocol as wire
from tests.support.apps.curve.curve_client import CurveClient
from tests.support.apps.line import Line
from tests.support.daemons.served import Served, until
from tests.support.daemons.served_curve import (
    BENCH_SECRET,
    LAPTOP,
    LAPTOP_SECRET,
    SERVER,
    curve_config,
    curve_served_in,
    dial,
)

LIMIT = 4 * 1024**2
LONG = 300_000


@dataclass
class Boxes:
    """What libsodium was asked for: bytes, and in which thread. gate: long frames in which `holds` finds something
    wait for it, in their thread."""

    sealed: list[tuple[int, int]] = field(default_factory=list)
    opened: list[tuple[int, int]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    holds: bytes = b""

    @property
    def long(self) -> int:
        """How many long frames were sealed, or have begun to be."""
        return sum(size > LONG_FRAME for size, _ in self.sealed)


@pytest.fixture
def boxes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Boxes]:
    made, seal, unseal = Boxes(), session.crypto_box_easy_afternm, session.crypto_box_open_easy_afternm
    made.gate.set()

    def sealing(plain: bytes, nonce: bytes, key: bytes) -> bytes:
        made.sealed.append((len(plain) - 1, threading.get_ident()))
        if len(plain) - 1 > LONG_FRAME and made.holds in plain:
            assert made.gate.wait(10)
        return seal(plain, nonce, key)

    def opening(box: bytes, nonce: bytes, key: bytes) -> bytes:
        made.opened.append((len(box) - 17, threading.get_ident()))
        return unseal(box, nonce, key)

    monkeypatch.setattr(session, "crypto_box_easy_afternm", sealing)
    monkeypatch.setattr(session, "crypto_box_open_easy_afternm", opening)
    yield made
    made.gate.set()


@pytest.fixture
def run(short: Any) -> Callable[[Any], None]:
    return curve_served_in(short, LIMIT)


async def asked(client: CurveClient, served: Served, count: int = 1) -> None:
    """Requests of the client, which are to be answered."""
    before = len(served.accepted)
    for _ in range(count):
        client.request()
    await until(lambda: len(served.accepted) == before + count)


async def body(client: CurveClient) -> bytes:
    """Of the next answer."""
    message = wire.decode(await client.next())
    assert message.kind == wire.RESPONSE
    return message.body


def test_a_long_frame_is_neither_opened_nor_sealed_in_the_loop(run, boxes):
    sizes = [0, 100, LONG_FRAME, LONG_FRAME + 1, LONG]

    async def test(served, address):
        client = await (await dial(address)).join()
        for size in sizes:
            client.request(bytes(size))
        await until(lambda: len(served.accepted) == len(sizes))
        assert [len(each.body) for each in served.accepted] == sizes
        for each in served.accepted:
            each.reply.respond(each.body, {})
        assert [len(await body(client)) for _ in sizes] == sizes
        for done in (boxes.sealed, boxes.opened):
            assert {size for size, _ in done} >= set(sizes)
            for size, thread in done:
                assert (thread == threading.get_ident()) == (size <= LONG_FRAME), size

    run(test)


SIZES = some.one_of(
    some.integers(0, 300), some.integers(LONG_FRAME - 2, LONG_FRAME + 2), some.integers(LONG_FRAME, LONG)
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(some.lists(some.one_of(some.none(), SIZES), min_size=1, max_size=12))
def test_frames_leave_in_their_order_whatever_their_sizes(run, steps):
    """A number is the size of an answer, None a PING of ZMTP, whose answer leaves at any time between two messages."""

    async def test(served, address):
        client = await (await dial(address)).join()
        sizes = [size for size in steps if size is not None]
        await asked(client, served, len(sizes))
        for number, step in enumerate(steps):
            if step is None:
                client.ping(b"%d" % number)
                await asyncio.sleep(0)
            else:
                served.accepted.pop(0).reply.respond(bytes((number,)) * step, {})
        got: list[tuple[int, int]] = []
        pongs = []
        for _ in steps:
            frames = await client.next()
            if frames[0].startswith(b"\4PONG"):
                pongs.append(int(frames[0][5:]))
            else:
                found = wire.decode(frames).body
                assert found == found[:1] * len(found)
                got.append((len(found), found[0] if found else -1))
        assert got == [(size, at if size else -1) for at, size in enumerate(steps) if size is not None]
        assert pongs == [at for at, size in enumerate(steps) if size is None]
        await until(lambda: served.admission.room.total == 0)
        assert served.lost == []

    run(test)


def test_libzmq_reads_long_and_short_answers_that_leave_together(run, boxes):
    """It ends a connection whose numbers do not rise."""

    async def test(served, address):
        line = dialled(address)
        try:
            sizes = [1024**2, 10, 2 * 1024**2, 0, 70_000, 10, 10, 1024**2, 100]
            ids = [line.request(body=b"x" * 200_000) for _ in sizes]
            await until(lambda: len(served.accepted) == len(sizes))
            for each, size in zip(served.accepted, sizes, strict=True):
                assert each.body == b"x" * 200_000
                each.reply.respond(b"y" * size, {})
            for request_id, size in zip(ids, sizes, strict=True):
                await until(lambda: line.socket.poll(0))
                answer = line.receive(wire.RESPONSE)
                assert (answer.request_id, len(answer.body)) == (request_id, size)
            assert served.lost == []
        finally:
            line.close()

    run(test)


def dialled(address: str) -> Line:
    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.curve_serverkey, socket.curve_secretkey = SERVER.encode(), LAPTOP_SECRET.encode()
    socket.curve_publickey = zmq.curve_public(LAPTOP_SECRET.encode())
    socket.linger, socket.rcvhwm = 0, 0
    socket.connect(address)
    return Line("", greet=False, socket=socket)


def test_a_long_answer_keeps_neither_others_nor_their_long_answers_waiting(run, boxes):
    async def test(served, address):
        busy = await (await dial(address)).join()
        other = await (await dial(address, BENCH_SECRET)).join()
        await asked(busy, served, 3)
        await asked(other, served, 2)
        boxes.gate.clear()
        boxes.holds = b"busy"
        for each in served.accepted[:3]:
            each.reply.respond(b"busy" * LONG, {})
        for each in served.accepted[3:]:
            each.reply.respond(b"other" * LONG, {})
            assert await body(other) == b"other" * LONG
        busy.ping()
        other.ping()
        assert await other.next() == [b"\4PONG"]
        boxes.gate.set()
        for _ in range(3):
            assert await body(busy) == b"busy" * LONG

    run(test)


def test_what_waits_to_be_sealed_is_counted_and_its_client_not_read(run, boxes):
    async def test(served, address):
        client = await (await dial(address)).join()
        await asked(client, served, 2)
        boxes.gate.clear()
        for each in served.accepted:
            each.reply.respond(bytes(1_500_000), {})
        assert served.admission.room.total >= 3_000_000
        client.request()
        await until(lambda: boxes.long)
        assert len(served.accepted) == 2
        assert all(each.full and each.held_back for each in served.connections)
        boxes.gate.set()
        assert [len(await body(client)) for _ in range(2)] == [1_500_000] * 2
        await until(lambda: len(served.accepted) == 3)
        assert not any(each.full or each.held_back for each in served.connections)
        served.accepted[2].reply.respond(b"", {})
        assert await body(client) == b""
        assert served.admission.room.total == 0

    run(test)


def test_nothing_is_sealed_for_a_connection_that_has_ended(run, boxes):
    async def test(served, address):
        client = await (await dial(address)).join()
        await asked(client, served, 5)
        boxes.gate.clear()
        for each in served.accepted:
            each.reply.respond(bytes(LONG), {})
        await until(lambda: boxes.long)
        client.close()
        await until(lambda: not served.server.connections.known)
        assert served.admission.room.total == 0
        boxes.gate.set()
        other = await (await dial(address)).join()  # of the same user: its frames come after
        await asked(other, served)
        served.accepted[-1].reply.respond(bytes(LONG_FRAME + 1), {})
        assert len(await body(other)) == LONG_FRAME + 1
        assert boxes.long == 2

    run(test)


@pytest.mark.parametrize("end", ["address", "server"])
def test_a_long_answer_leaves_before_its_connection_is_closed(run, boxes, end):
    async def test(served, address):
        client = await (await dial(address)).join()
        await asked(client, served, 3)
        boxes.gate.clear()
        if end == "address":
            served.server.use(curve_config(laptop=LAPTOP))
            assert wire.decode(await client.next()).kind == wire.GOAWAY
        for each in served.accepted:
            each.reply.respond(bytes(LONG), {})
        if end == "server":
            served.server.close()
        boxes.gate.set()
        for _ in range(3):
            assert len(await body(client)) == LONG
        assert await client.ended()
        assert not served.server.connections.known

    run(test)


def test_a_long_frame_that_was_changed_ends_its_connection(run):
    async def test(served, address):
        client = await (await dial(address)).join()
        sealed = bytearray(client.curve.message([b"", b"", b"", bytes(LONG)]))
        sealed[-1] ^= 1
        client.send(bytes(sealed))
        assert await client.ended()
        assert served.lost == ["it broke the protocol: a message that cannot be opened"]
        assert served.admission.room.total == 0

    run(test)
