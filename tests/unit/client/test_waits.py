"""How a caller waits: asleep, and awake for a moment where the last wait was short."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from modelmesh import _connection
from modelmesh._connection import AWAKE_SECONDS, QUICK_SECONDS, Connection

READY = [(3, 1)]


class Poller:
    """Something is ready `after` seconds of each wait. A look takes 10 µs."""

    def __init__(self) -> None:
        self.now = 0.0
        self.after = 0.0
        self.asked: list[float | None] = []
        self.began = 0.0

    def poll(self, timeout: float | None) -> list[tuple[int, int]]:
        self.asked.append(timeout)
        ready_at = self.began + self.after
        if timeout == 0:
            self.now += 0.00001
            return READY if self.now >= ready_at else []
        self.now = max(self.now, ready_at if timeout is None else min(ready_at, self.now + timeout / 1000))
        return READY if self.now >= ready_at else []

    def wait(self, connection: Any, after: float, timeout: float | None = None) -> list[tuple[int, int]]:
        self.began, self.after, self.asked = self.now, after, []
        return Connection._ready(connection, timeout)


@pytest.fixture
def poller(monkeypatch: pytest.MonkeyPatch) -> Poller:
    made = Poller()
    monkeypatch.setattr(_connection, "time", SimpleNamespace(monotonic=lambda: made.now))
    monkeypatch.setattr(_connection, "_SEVERAL_CORES", True)
    return made


@pytest.fixture
def connection(poller: Poller) -> Any:
    return SimpleNamespace(_quick=False, _poller=lambda: poller)


def test_a_first_wait_sleeps_and_the_one_after_a_short_one_begins_awake(poller: Poller, connection: Any) -> None:
    assert poller.wait(connection, QUICK_SECONDS / 2) == READY
    assert poller.asked == [None]
    assert poller.wait(connection, AWAKE_SECONDS / 2) == READY
    assert set(poller.asked) == {0}


def test_a_wait_for_a_model_that_thinks_is_slept_through_and_so_is_the_next(poller: Poller, connection: Any) -> None:
    poller.wait(connection, QUICK_SECONDS / 2)
    assert poller.wait(connection, 3.0) == READY
    assert poller.asked[-1] is None
    assert len(poller.asked) <= 2 + AWAKE_SECONDS / 0.00001
    poller.wait(connection, 3.0)
    assert poller.asked == [None]


def test_a_time_limit_holds(poller: Poller, connection: Any) -> None:
    poller.wait(connection, QUICK_SECONDS / 2)
    assert poller.wait(connection, 3.0, timeout=100.0) == []
    assert poller.now - poller.began == pytest.approx(0.1, abs=0.001)
    connection._quick = True
    assert poller.wait(connection, 3.0, timeout=AWAKE_SECONDS * 500) == []
    assert poller.asked == [AWAKE_SECONDS * 500], "less than it would be awake for"


def test_on_one_core_nobody_stays_awake(poller: Poller, connection: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_connection, "_SEVERAL_CORES", False)
    for _ in range(3):
        poller.wait(connection, QUICK_SECONDS / 2)
        assert poller.asked == [None]
