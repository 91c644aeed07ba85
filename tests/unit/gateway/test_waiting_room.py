"""The waiting room: who goes on when, without a provider."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from meshd.gateway.waiting_room import WaitingRoom
from meshd.host import clock
from meshd.routing.attempts.plan import GiveUp
from meshd.routing.attempts.waiting import Wait
from meshd.routing.request.question import Requester
from modelmesh import MeshError

pytestmark = pytest.mark.interpreted

GO = GiveUp(MeshError("it went on"))  # what a plan says does not matter here


class Plan:
    """Goes on when there is `room`, an exception is raised in its place."""

    def __init__(self, room: list[Any], app: str = "a", gives_way: bool = False, **given: Any) -> None:
        self.room = room
        self.requester = Requester(label=app, gives_way=gives_way, **given)
        self.deadline = time.time() + 60
        self.attempts: list[Any] = []
        self.pool = SimpleNamespace(name="chat")
        self.asked = 0

    def line(self, now: float) -> str:
        return "chat"

    def next(self, now: float) -> Any:
        self.asked += 1
        if not self.room:
            return Wait(None, {"m": "full"})
        found = self.room.pop()
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def room() -> WaitingRoom:
    return WaitingRoom(max_queue=lambda: 10, queue_timeout=lambda: 5.0)


def join(room: WaitingRoom, plan: Plan) -> asyncio.Task[Any]:
    step = room.step(plan, clock.now())
    assert isinstance(step, Wait)
    return asyncio.ensure_future(room.wait(plan, step))


async def waiting(room: WaitingRoom, *plans: Plan) -> list[asyncio.Task[Any]]:
    tasks = [join(room, plan) for plan in plans]
    await asyncio.sleep(0)  # each of them takes its place in its first turn
    assert len(room.queue) == len(plans)
    return tasks


async def test_a_request_of_an_app_does_not_pass_another_that_waits_for_the_same(room: WaitingRoom) -> None:
    places: list[Any] = []
    first, second = Plan(places), Plan([GO])  # which fits where the first does not
    (task,) = await waiting(room, first)
    step = room.step(second, clock.now())
    assert isinstance(step, Wait)
    assert second.asked == 0
    assert room.step(Plan([GO], app="another"), clock.now()) is GO
    places.append(GO)
    room.freed()
    assert await asyncio.wait_for(task, 5) is GO


async def test_what_goes_wrong_for_one_who_waits_is_its_own(room: WaitingRoom) -> None:
    broken, well = Plan([]), Plan([], app="b")
    broken_task, well_task = await waiting(room, broken, well)
    broken.room.append(KeyError("oops"))
    well.room.append(GO)
    room.freed()
    assert await asyncio.wait_for(well_task, 5) is GO
    with pytest.raises(KeyError):
        await asyncio.wait_for(broken_task, 5)
    assert len(room.queue) == 0


async def test_many_ends_in_one_turn_are_one_round(room: WaitingRoom) -> None:
    plan = Plan([])
    (task,) = await waiting(room, plan)
    before = plan.asked
    for _ in range(100):
        room.freed()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert plan.asked == before + 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(room.queue) == 0


async def test_new_room_goes_to_waiting_requests_before_new_ones(room: WaitingRoom) -> None:
    shared: list[Any] = []
    (task,) = await waiting(room, Plan(shared))
    shared.append(GO)
    room.freed()  # the round is yet to come
    assert isinstance(room.step(Plan(shared, app="newcomer"), clock.now()), Wait)
    assert await asyncio.wait_for(task, 5) is GO


async def test_no_place_in_the_queue(room: WaitingRoom) -> None:
    plans = [Plan([], app=str(number), operator=True) for number in range(10)]
    tasks = await waiting(room, *plans)
    answer = await room.wait(Plan([], app="late", operator=True), Wait(None, {"m": "full"}))
    assert isinstance(answer, GiveUp)
    assert answer.error.status_code == 429
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    room.close()


async def test_no_user_fills_the_queue(room: WaitingRoom) -> None:
    def of(uid: int, app: str, account: str = "default") -> Plan:
        return Plan([], app=app, account=account, uid=uid)

    tasks = await waiting(room, *(of(1, str(number)) for number in range(7)))
    for more in (of(1, "another name"), of(1, "0")):
        assert isinstance(await room.wait(more, Wait(None, {"m": "full"})), GiveUp)
    tasks += [join(room, of(2, "0")), join(room, of(1, "mail", account="mail"))]
    await asyncio.sleep(0)
    assert len(room.queue) == 9
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    again = await waiting(room, *(of(1, "0") for number in range(7)))
    for task in again:
        task.cancel()
    await asyncio.gather(*again, return_exceptions=True)
    room.close()


async def test_a_loop_may_give_what_is_due_at_once_no_time(room: WaitingRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    """uvloop's `call_at` is its `call_soon` then, whose handle has no `when`."""
    loop = asyncio.get_running_loop()
    uvloops = SimpleNamespace(
        time=loop.time,
        call_at=lambda at, call: loop.call_soon(call),
        call_soon=loop.call_soon,
        create_future=loop.create_future,
    )
    monkeypatch.setattr("meshd.gateway.waiting_room.asyncio", SimpleNamespace(**vars(asyncio)))
    monkeypatch.setattr("meshd.gateway.waiting_room.asyncio.get_running_loop", lambda: uvloops)

    class Timed(Plan):
        def next(self, now: float) -> Any:
            self.asked += 1
            return GO if self.asked > 3 else Wait(now, {"m": "full"})

    tasks = await waiting(room, Timed([]), Timed([], app="b"))
    assert await asyncio.wait_for(asyncio.gather(*tasks), 5) == [GO, GO]


async def test_a_batchs_request_waits_behind_anyones_and_delays_none(room: WaitingRoom) -> None:
    space: list[Any] = []
    (first,) = await waiting(room, Plan(space))
    batch = Plan(space, "b", gives_way=True)
    space.append(GO)
    assert isinstance(room.step(batch, clock.now()), Wait)  # though there is room
    later = join(room, batch)
    await asyncio.sleep(0)
    room.freed()
    assert await asyncio.wait_for(first, 1) is GO
    space.append(GO)
    assert room.step(Plan(space, "c"), clock.now()) is GO  # nothing waits behind a batch's
    space.append(GO)
    room.freed()
    assert await asyncio.wait_for(later, 1) is GO
