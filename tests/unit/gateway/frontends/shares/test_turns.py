"""Users take turns; nothing is forgotten, and nothing comes out of order."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as some

from meshd.gateway.frontends.shares import turns as turns_module
from meshd.gateway.frontends.shares.turns import Turns


class Client:
    """Has messages, which are numbers, and takes down when each is handled."""

    def __init__(self, user: str, count: int, log: list[tuple[str, int]]) -> None:
        self.user = user
        self.left = count
        self.log = log

    def work(self) -> bool:
        self.log.append((self.user, self.left))
        self.left -= 1
        return self.left > 0


async def finish(log: list[tuple[str, int]], count: int) -> None:
    async with asyncio.timeout(20):
        while len(log) < count:  # noqa: ASYNC110 - each is one turn of the loop
            await asyncio.sleep(0)


def run(test: Callable[[Turns], object]) -> None:
    async def main() -> None:
        turns = Turns(asyncio.get_running_loop())
        try:
            await test(turns)  # type: ignore[misc]
        finally:
            turns.close()

    uvloop.run(main())


@given(some.lists(some.tuples(some.sampled_from("abc"), some.integers(1, 300)), min_size=1, max_size=8))
def test_each_message_is_handled_once_and_in_order(clients: list[tuple[str, int]]) -> None:
    async def test(turns: Turns) -> None:
        log: list[tuple[str, int]] = []
        logs = []
        for user, count in clients:
            logs.append(Client(user, count, log))
            turns.ready(user, logs[-1].work)
        await finish(log, sum(count for _, count in clients))
        assert all(client.left == 0 for client in logs)
        for _ in range(3):
            await asyncio.sleep(0)
        assert len(log) == sum(count for _, count in clients)

    run(test)


class Clock:
    """One whose time passes only when it is looked at, so that a busy machine changes nothing."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1e-6
        return self.now


@pytest.mark.interpreted
@pytest.mark.parametrize("connections", [1, 50])
def test_one_message_is_not_behind_anothers_flood(monkeypatch: pytest.MonkeyPatch, connections: int) -> None:
    monkeypatch.setattr(turns_module, "time", Clock())

    async def test(turns: Turns) -> None:
        log: list[tuple[str, int]] = []
        for _ in range(connections):
            turns.ready("flood", Client("flood", 5000 // connections, log).work)
        await asyncio.sleep(0)
        before = len(log)
        assert before <= 128
        for _ in range(3):
            at = len(log)
            turns.ready("one", Client("one", 1, log).work)
            assert log[at:] == [("one", 1)], "at once"
            await asyncio.sleep(0)
        assert len(log) - before <= 64 + 3 * 5
        monkeypatch.undo()
        await finish(log, 5003)

    run(test)


def test_a_flood_among_others_gets_every_other_turn_of_the_loop() -> None:
    async def test(turns: Turns) -> None:
        log: list[tuple[str, int]] = []

        turns.ready("one", Client("one", 1, log).work)
        turns.ready("flood", Client("flood", 400, log).work)
        laps = 0
        async with asyncio.timeout(20):
            while len(log) < 401:
                await asyncio.sleep(0)
                laps += 1
        assert laps >= 2 * (400 - 64) / 4 - 2

    run(test)


class Costly(Client):
    """Each of its messages takes the loop that long, in seconds."""

    def __init__(self, user: str, count: int, log: list[tuple[str, int]], takes: float) -> None:
        super().__init__(user, count, log)
        self.takes = takes

    def work(self) -> bool:
        until = time.monotonic() + self.takes
        while time.monotonic() < until:
            pass
        return super().work()


@pytest.mark.parametrize("connections", [1, 20])
def test_a_user_whose_messages_cost_more_gets_fewer_of_them(connections: int) -> None:
    async def test(turns: Turns) -> None:
        log: list[tuple[str, int]] = []
        for _ in range(connections):
            turns.ready("dear", Costly("dear", 10_000, log, 0.001).work)
            turns.ready("cheap", Costly("cheap", 10_000, log, 0.00002).work)
        await finish(log, 300)
        handled = Counter(user for user, _ in log)
        assert 0 < handled["dear"] < handled["cheap"] / 5

    run(test)


def test_a_turn_ends_when_its_time_is_over() -> None:
    async def test(turns: Turns) -> None:
        log: list[tuple[str, int]] = []
        turns.ready("alone", Costly("alone", 1000, log, 0.001).work)
        assert len(log) < 10
        turns.ready("other", Client("other", 1, log).work)
        for _ in range(20):
            before = len(log)
            await asyncio.sleep(0)
            assert len(log) - before < 10

    run(test)


@pytest.mark.parametrize("at_once", [1, 3])
def test_messages_that_come_one_by_one_take_half_of_the_loop(at_once: int) -> None:
    """Each connection of the user has one message at a time, so that none of them ever waits for its turn."""

    async def test(turns: Turns) -> None:
        log: list[tuple[str, int]] = []
        waiting: set[Costly] = set()

        def work(client: Costly) -> bool:
            client.work()
            waiting.discard(client)
            return False

        clients = [Costly("dear", 10_000, log, 0.001) for _ in range(at_once)]
        began = time.monotonic()
        while (passed := time.monotonic() - began) < 0.2:
            turns.ready("other", Client("other", 1, []).work)
            for client in clients:
                if client not in waiting:
                    waiting.add(client)
                    turns.ready("dear", partial(work, client))
            await asyncio.sleep(0)
        assert 0.001 * len(log) < 0.6 * passed

    run(test)


def test_who_has_used_less_is_not_behind_who_has_used_more() -> None:
    async def test(turns: Turns) -> None:
        log: list[tuple[str, int]] = []
        turns.ready("dear", Costly("dear", 1000, log, 0.001).work)
        await finish(log, 20)
        at = len(log)
        turns.ready("other", Client("other", 40, log).work)
        await finish(log, at + 60)
        assert [user for user, _ in log[at : at + 60]].count("other") == 40

    run(test)
