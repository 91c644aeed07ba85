"""The events of a response that is streamed in the background: what is kept of them, and for whom."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from meshd.config.schema.connectors.stores import ResponsesConfig
from meshd.formats.keeping import Stored
from meshd.gateway.access.owner import Owner
from meshd.gateway.frontends.exchange import Deadline, Reply
from meshd.gateway.responses.events import EVENT_BYTES, EventLog
from meshd.gateway.responses.store import LARGEST_SHARE, ResponseStore
from meshd.host import clock
from modelmesh.errors import MeshError, NotFoundError, RequestTimeoutError
from tests.support.waiting import WAIT

ANN, BOB = Owner("uid 1", "editor"), Owner("uid 2", "editor")
SIZE = 100 - EVENT_BYTES % 100 + 100
COUNTED = EVENT_BYTES + SIZE
GONE = NotFoundError("gone")


class Reader(Reply):
    """room: chunks that it takes before it is full."""

    def __init__(self, room: int = 10**6) -> None:
        super().__init__()
        self.events: list[bytes] = []
        self.room = asyncio.Semaphore(room)

    def respond(self, body: bytes, mesh: Any, headers: Any = None) -> None: ...

    def error(self, error: MeshError) -> None: ...

    def end(self, usage: Any, mesh: Any) -> None:
        self.done = True

    async def chunk(self, data: bytes) -> None:
        await self.room.acquire()
        self.events.append(data)


def event(number: int) -> bytes:
    return b"%d" % number + b" " * (SIZE - len(str(number)))


def numbers(reader: Reader) -> list[int]:
    return [int(each) for each in reader.events]


def reads(log: EventLog, number: int, room: int = 10**6, seconds: float = WAIT) -> tuple[Reader, asyncio.Task[None]]:
    reader, deadline = Reader(room), Deadline.after(clock.now(), seconds)
    return reader, asyncio.ensure_future(log.send(reader, number, deadline, GONE))


async def ended(task: asyncio.Task[None]) -> None:
    await asyncio.wait_for(task, WAIT)


async def a_moment() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_readers_get_what_was_and_what_comes() -> None:
    log = EventLog("ann", 0.0)
    for number in range(3):
        log.add(event(number), 10**6)
    readers = [reads(log, begin) for begin in (0, 2, 5)]
    await a_moment()
    assert [numbers(reader) for reader, _ in readers] == [[0, 1, 2], [2], []]
    for number in range(3, 7):
        log.add(event(number), 10**6, last=number == 6)
    for (reader, task), begin in zip(readers, (0, 2, 5), strict=True):
        await ended(task)
        assert numbers(reader) == list(range(begin, 7))
        assert reader.done
    log.add(event(7), 10**6)  # it has ended
    late, task = reads(log, 6)
    await ended(task)
    assert numbers(late) == [6]


async def test_one_that_leaves_or_waits_changes_nothing_for_others() -> None:
    log = EventLog("ann", 0.0)
    slow, waits = reads(log, 0, room=1)
    gone, leaves = reads(log, 0)
    log.add(event(0), 10**6)
    await a_moment()
    leaves.cancel()
    log.add(event(1), 10**6, last=True)
    other, task = reads(log, 0)
    await ended(task)
    assert (numbers(other), numbers(slow), numbers(gone)) == ([0, 1], [0], [0])
    slow.room.release()
    await ended(waits)
    assert numbers(slow) == [0, 1]


async def test_the_oldest_make_room_and_who_needs_them_is_told() -> None:
    log = EventLog("ann", 0.0)
    slow, waits = reads(log, 0, room=2)
    live, task = reads(log, 0)
    for number in range(10):
        log.add(event(number), 4 * COUNTED, last=number == 9)
        await a_moment()
        assert log.size <= 4 * COUNTED
    await ended(task)
    assert numbers(live) == list(range(10))
    slow.room.release()
    with pytest.raises(NotFoundError):
        await ended(waits)
    assert numbers(slow) == [0, 1, 2]  # the one that it was waiting to send
    assert [log.has(number) for number in (0, 5, 6, 9, 10)] == [False, False, True, True, True]


async def test_a_reader_waits_no_longer_than_its_deadline() -> None:
    _, task = reads(EventLog("ann", 0.0), 0, seconds=0.01)
    with pytest.raises(RequestTimeoutError):
        await ended(task)


async def test_what_is_forgotten_ends_its_readers() -> None:
    log = EventLog("ann", 0.0)
    log.add(event(0), 10**6)
    _, task = reads(log, 0)
    await a_moment()
    log.forget()
    with pytest.raises(NotFoundError):
        await ended(task)
    log.add(event(1), 10**6)
    assert (log.size, log.has(log.end)) == (0, False)


# -- in the store -------------------------------------------------------------------------------------------


class World:
    def __init__(self, **config: Any) -> None:
        self.now = 1000.0
        self.store = ResponseStore(lambda actor, message: None, lambda: self.now)
        self.config(**config)

    def config(self, **config: Any) -> None:
        self.store.configure(ResponsesConfig(**config))

    def begins(self, owner: Owner, id: str, events: int = 0) -> None:
        self.store.put(owner, Stored(id, b"[]", b"{}"))
        self.store.open_log(owner, id)
        for number in range(events):
            self.store.record(owner, id, event(number))

    def there(self, owner: Owner, id: str) -> bool:
        log = self.store.log(owner, id)
        return log is not None and log.has(0)


def test_they_are_found_only_by_their_owner() -> None:
    world = World()
    world.begins(ANN, "resp_1", 1)
    assert world.there(ANN, "resp_1")
    for other in (BOB, Owner("uid 1", "other"), None):
        assert world.store.log(other, "resp_1") is None


def test_those_of_one_response_take_a_quarter_at_most() -> None:
    world = World(max_size=64 * 1024, max_count=1000)
    world.begins(ANN, "resp_1", 1000)
    assert 0 < world.store.size <= 64 * 1024 // LARGEST_SHARE + 2048
    assert not world.there(ANN, "resp_1")
    assert world.store.find(ANN, "resp_1") is not None


def test_one_user_cannot_push_out_anothers() -> None:
    world = World(max_size=64 * 1024, max_count=1000)
    world.begins(BOB, "bobs", 3)
    for n in range(20):
        world.begins(ANN, f"resp_{n}", 100)
        assert world.store.size <= 64 * 1024
    assert world.there(BOB, "bobs")
    assert not world.there(ANN, "resp_0")
    world.store.record(ANN, "resp_0", event(0))  # of one that runs: what comes later is kept
    log = world.store.log(ANN, "resp_0")
    assert log is not None
    assert (log.begin, log.end) == (100, 101)


def test_they_go_with_the_response_its_time_and_the_setting() -> None:
    world = World(ttl=100)
    for id in ("deleted", "expired", "running"):
        world.begins(ANN, id, 1)
    world.store.record(ANN, "expired", event(1), last=True)
    world.store.drop(ANN, "deleted")
    assert world.store.log(ANN, "deleted") is None
    world.now += 100
    world.store.sweep()
    assert world.store.log(ANN, "expired") is None
    assert world.there(ANN, "running")
    world.config(enabled=False)
    assert world.store.log(ANN, "running") is None
    assert world.store.size == 0
    world.store.record(ANN, "running", event(1))
    assert world.store.size == 0
