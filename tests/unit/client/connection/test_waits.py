"""How a caller waits: asleep, and awake for a moment where the last wait was short."""

from __future__ import annotations

import pytest

from modelmesh._connection.polling import AWAKE_SECONDS, QUICK_SECONDS, Wait

READY = [(3, 1)]


class Scripted:
    """Something is ready `after` seconds of each wait. A look takes 10 µs."""

    def __init__(self, spins: bool = True) -> None:
        self.now = 0.0
        self.after = 0.0
        self.asked: list[float | None] = []
        self.began = 0.0
        self._wait = Wait(spins, clock=lambda: self.now)

    def poll(self, timeout: float | None) -> list[tuple[int, int]]:
        self.asked.append(timeout)
        ready_at = self.began + self.after
        if timeout == 0:
            self.now += 0.00001
            return READY if self.now >= ready_at else []
        self.now = max(self.now, ready_at if timeout is None else min(ready_at, self.now + timeout / 1000))
        return READY if self.now >= ready_at else []

    def wait(self, after: float, timeout: float | None = None) -> list[tuple[int, int]]:
        self.began, self.after, self.asked = self.now, after, []
        return self._wait.ready(self, timeout)


@pytest.fixture
def scripted() -> Scripted:
    return Scripted()


def test_a_first_wait_sleeps_and_the_one_after_a_short_one_begins_awake(scripted: Scripted) -> None:
    assert scripted.wait(QUICK_SECONDS / 2) == READY
    assert scripted.asked == [None]
    assert scripted.wait(AWAKE_SECONDS / 2) == READY
    assert set(scripted.asked) == {0}


def test_a_wait_for_a_model_that_thinks_is_slept_through_and_so_is_the_next(scripted: Scripted) -> None:
    scripted.wait(QUICK_SECONDS / 2)
    assert scripted.wait(3.0) == READY
    assert scripted.asked[-1] is None
    assert len(scripted.asked) <= 2 + AWAKE_SECONDS / 0.00001
    scripted.wait(3.0)
    assert scripted.asked == [None]


def test_a_time_limit_holds(scripted: Scripted) -> None:
    scripted.wait(QUICK_SECONDS / 2)
    assert scripted.wait(3.0, timeout=100.0) == []
    assert scripted.now - scripted.began == pytest.approx(0.1, abs=0.001)
    scripted.wait(QUICK_SECONDS / 2)
    assert scripted.wait(3.0, timeout=AWAKE_SECONDS * 500) == []
    assert scripted.asked == [AWAKE_SECONDS * 500], "less than it would be awake for"


def test_on_one_core_no_wait_spins() -> None:
    scripted = Scripted(spins=False)
    for _ in range(3):
        scripted.wait(QUICK_SECONDS / 2)
        assert scripted.asked == [None]
