"""Users take turns; nothing is forgotten, and nothing comes out of order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as some

from meshd.gateway.frontends.turns import Turns


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


@pytest.mark.parametrize("connections", [1, 50])
def test_one_message_is_not_behind_anothers_flood(connections: int) -> None:
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
