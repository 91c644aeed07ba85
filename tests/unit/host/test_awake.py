"""A process that was stopped: no time passes on its clock, and what came in time is read before any limit
ends it."""

from __future__ import annotations

import asyncio
import gc
import socket
import time
import weakref
from collections.abc import Callable, Iterator

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from meshd.host import clock
from meshd.host.awake import ON_TIME, TICK, TO_READ, Awake, Timeout

EVERY_LOOP = pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
ASLEEP = 1.5  # s that a loop is kept from its work, which is as a stopped process is


class Monotonic:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.at = 1000.0

    def monotonic(self) -> float:
        return self.at

    def time(self) -> float:
        return self.at


@pytest.fixture(autouse=True)
def unwatched() -> Iterator[None]:
    """As in a process that has nothing under way, before and after."""
    clock.awake_for(None)
    yield
    assert not clock.sleeps()
    clock.awake_for(None)


@pytest.mark.interpreted
@given(st.lists(st.tuples(st.floats(0.0, 20.0), st.booleans()), max_size=30))
def test_no_time_passes_while_it_sleeps_and_none_twice(moves: list[tuple[float, bool]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "time", source := Monotonic())
        clock.awake_for(1.0)
        began, slept_before = clock.now(), clock.slept()
        last, since, expected = began, 0.0, 0.0
        for seconds, tells in moves:
            source.at += seconds
            expected += max(min(seconds, 1.0 - since), 0.0)
            since += seconds
            assert clock.now() >= last - 1e-6, "it never goes back"
            assert clock.now() - began == pytest.approx(expected, abs=1e-5)
            assert clock.at(source.at) == clock.now()
            last = clock.now()
            if tells:
                assert clock.awake_for(1.0) == (since > 1.0)
                since = 0.0
                assert clock.now() == pytest.approx(last, abs=1e-6), "nor does it jump when the sleep is noticed"
        all_in_all = sum(seconds for seconds, _ in moves)
        assert clock.slept() - slept_before == pytest.approx(all_in_all - expected, abs=1e-5)
        clock.awake_for(None)


def stopped() -> None:
    time.sleep(ASLEEP)


def run(make_loop: Callable[[], asyncio.AbstractEventLoop], work: object) -> object:
    loop = make_loop()
    try:
        return loop.run_until_complete(asyncio.wait_for(work, 20))
    finally:
        loop.close()


@EVERY_LOOP
@pytest.mark.parametrize("limit", [0.05, 0.2, 0.5, 1.0])
def test_what_came_while_it_slept_is_read(make_loop: Callable[[], asyncio.AbstractEventLoop], limit: float) -> None:
    """Whenever the limit comes due: just before the sleep is noticed, or in the midst of it."""

    async def ask() -> bytes:
        here, there = socket.socketpair()
        with here, there:
            here.setblocking(False)
            loop = asyncio.get_running_loop()
            with Timeout(limit):
                answer = asyncio.ensure_future(loop.sock_recv(here, 10))
                await asyncio.sleep(0)
                there.send(b"answer")
                stopped()
                return await answer

    assert run(make_loop, ask()) == b"answer"


@EVERY_LOOP
def test_what_never_comes_ends(make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def ask() -> float:
        began = clock.now()
        try:
            with Timeout(0.2):
                await asyncio.sleep(0)
                stopped()
                await asyncio.wait_for(asyncio.Event().wait(), 10)
            pytest.fail("it never came")
        except TimeoutError:
            pass
        return clock.now() - began

    waited = run(make_loop, ask())
    assert isinstance(waited, float)
    assert waited < TICK + ON_TIME + TO_READ + 1.0


@pytest.mark.interpreted
def test_two_loops_count_one_sleep() -> None:
    """The second one takes over where the first has nothing under way any more."""
    with pytest.MonkeyPatch.context() as patch:
        source = Monotonic()
        patch.setattr(clock, "time", source)
        first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
        try:
            one, two = Awake(first), Awake(second)
            one.begin()
            two.begin()
            slept = clock.slept()
            source.at += 10.0
            assert clock.slept() - slept == pytest.approx(10.0 - TICK - ON_TIME)
            one.end()
            two.end()
            assert clock.slept() - slept == pytest.approx(10.0 - TICK - ON_TIME)
            two.begin()
            source.at += 10.0
            assert clock.slept() - slept == pytest.approx(2 * (10.0 - TICK - ON_TIME))
            two.end()
        finally:
            first.close()
            second.close()


def test_a_loop_that_was_closed_does_not_stop_the_clock() -> None:
    loop, other = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        left = Awake(loop)
        left.begin()
        loop.close()
        right = Awake(other)
        right.begin()
        left.end()
        assert not clock.sleeps()
        right.end()
    finally:
        other.close()


@EVERY_LOOP
def test_who_was_cancelled_is_freed_at_once(make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Thousands of these would otherwise be garbage at the same time, and its collection stops the loop."""

    class Asking:
        async def ask(self) -> None:
            self.limit = Timeout(60)
            with self.limit:
                await asyncio.sleep(60)

    async def main() -> weakref.ref[Asking]:
        asking = Asking()
        task = asyncio.get_running_loop().create_task(asking.ask())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return weakref.ref(asking)

    loop = make_loop()
    gc.disable()
    try:
        found = loop.run_until_complete(main())
        assert found() is None
    finally:
        gc.enable()
        loop.close()
