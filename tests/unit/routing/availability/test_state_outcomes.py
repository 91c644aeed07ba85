"""The share of recent requests that failed, over a window that slides by twelfths."""

from __future__ import annotations

import pickle

from hypothesis import given
from hypothesis import strategies as some

from meshd.routing.availability.error_rate import LEAST_SAMPLES, SLOTS, OutcomeWindow
from tests.support.routing.routing_builders import NOW

HOUR = 3600.0


def filled(*outcomes: bool, now: float = NOW) -> OutcomeWindow:
    window = OutcomeWindow()
    for ok in outcomes:
        window.add(ok, now, 60.0)
    return window


def test_a_rate_needs_enough_requests_to_mean_something() -> None:
    assert OutcomeWindow().rate(NOW) == (0, 0)
    few = filled(*[False] * (LEAST_SAMPLES - 1))
    assert few.rate(NOW) == (LEAST_SAMPLES - 1, LEAST_SAMPLES - 1)
    assert few.rate(NOW).fraction is None
    assert filled(False, True, True, True, True).rate(NOW).fraction == 0.2


def test_what_is_older_than_the_window_is_forgotten() -> None:
    window = filled(False, False)
    assert window.rate(NOW + 54.0) == (2, 2)
    assert window.rate(NOW + 60.1) == (0, 0)


def test_another_window_or_a_clock_set_back_starts_again() -> None:
    window = filled(False, now=NOW + HOUR)
    assert window.rate(NOW) == (0, 0)
    window.add(True, NOW, 60.0)
    window.add(False, NOW + 10, 60.0)
    assert window.rate(NOW) == (0, 1), "what lies in the future of a clock that was set back has not happened"
    window.add(True, NOW, 30.0)
    assert window.rate(NOW) == (0, 1)


def test_it_can_be_cleared() -> None:
    window = filled(False)
    window.clear()
    assert window.rate(NOW) == (0, 0)


@given(some.lists(some.tuples(some.floats(0, 30), some.booleans()), max_size=200), some.sampled_from([1.0, 60.0, HOUR]))
def test_it_counts_what_happened_within_the_window_to_a_twelfth(steps: list[tuple[float, bool]], width: float) -> None:
    window, now, happened = OutcomeWindow(), NOW, []
    for pause, ok in steps:
        now += pause
        window.add(ok, now, width)
        happened.append((now, ok))
        failed, requests = window.rate(now)
        surely = [ok for at, ok in happened if now - at < width * (SLOTS - 1) / SLOTS]
        perhaps = [ok for at, ok in happened if now - at <= width]
        assert len(surely) <= requests <= len(perhaps)
        assert surely.count(False) <= failed <= perhaps.count(False)
        assert len(pickle.dumps(window)) < 1000, "however many requests there are"
