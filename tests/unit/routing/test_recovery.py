"""Cooldown, probation, relapse, and how long relapses are remembered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some
from routing_builders import NOW

from meshd.routing import recovery
from meshd.routing.recovery import ACTIVE, PROBATION, STANDBY
from meshd.routing.state import INDEFINITELY, Availability
from meshd.routing.table import RecoveryPolicy

POLICY = RecoveryPolicy(cooldown=60.0, max_cooldown=900.0)


def down(availability: Availability, now: float, tester: object | None = None, at_least: float = 0.0) -> bool:
    return recovery.stand_by(availability, "it fails", "server", POLICY, now, at_least, tester)


def test_it_is_active_then_on_standby_then_on_probation() -> None:
    availability = Availability()
    assert recovery.status(availability, NOW) == ACTIVE
    assert recovery.objection(availability, NOW) is None
    assert recovery.recovers_in(availability, NOW) == 0.0
    assert down(availability, NOW)
    assert recovery.status(availability, NOW + 59.9) == STANDBY
    assert recovery.objection(availability, NOW + 20) == "it fails; tried again in 40 s"
    assert recovery.recovers_in(availability, NOW + 20) == 40.0
    assert recovery.status(availability, NOW + 60) == PROBATION
    assert recovery.objection(availability, NOW + 60) is None
    assert recovery.recovers_in(availability, NOW + 70) == 0.0


def test_each_relapse_doubles_the_cooldown_up_to_the_longest() -> None:
    availability, now, cooldowns = Availability(), NOW, []
    for _ in range(7):
        assert down(availability, now)
        cooldowns.append(availability.until - now)
        now = availability.until
    assert cooldowns == [60, 120, 240, 480, 900, 900, 900]
    assert availability.since == NOW, "it has not been well in between"


def test_relapses_without_end_overflow_nothing() -> None:
    availability = Availability(standby=True, until=NOW, relapses=10**9)
    assert down(availability, NOW)
    assert availability.until == NOW + 900


def test_a_relapse_soon_after_recovery_doubles_and_staying_well_forgets() -> None:
    availability = Availability()
    down(availability, NOW)
    recovery.recover(availability, NOW + 60)
    down(availability, NOW + 61)
    assert availability.until == NOW + 61 + 120
    recovery.recover(availability, NOW + 181)
    down(availability, NOW + 181 + 901)
    assert availability.until == NOW + 181 + 901 + 60


def test_the_failures_of_those_who_were_under_way_are_no_relapses() -> None:
    availability = Availability()
    assert down(availability, NOW)
    assert [down(availability, NOW + 1) for _ in range(61)] == [False] * 61
    assert availability.until == NOW + 60
    assert availability.relapses == 1


def test_a_late_failure_is_no_relapse_of_a_model_that_another_request_tests() -> None:
    availability, tester = Availability(), object()
    down(availability, NOW)
    recovery.begin_probation(availability, tester)
    assert not down(availability, NOW + 60, tester=object())
    assert availability.tester is tester
    assert down(availability, NOW + 60, tester=tester)


def test_a_provider_that_asks_for_longer_is_left_alone_longer() -> None:
    availability = Availability()
    down(availability, NOW, at_least=300)
    assert availability.until == NOW + 300
    down(availability, NOW, at_least=400)
    assert availability.until == NOW + 400
    down(availability, NOW, at_least=10)
    assert availability.until == NOW + 400


def test_one_request_at_a_time_tests() -> None:
    availability, first, second = Availability(), object(), object()
    down(availability, NOW)
    recovery.begin_probation(availability, first)
    recovery.begin_probation(availability, second)
    assert availability.tester is first
    assert "one request is testing it" in str(recovery.objection(availability, NOW + 60))
    recovery.end_probation(availability, second)
    assert availability.tester is first, "only its holder gives the place back"
    recovery.end_probation(availability, first)
    assert recovery.objection(availability, NOW + 60) is None


def test_what_is_active_needs_no_tester() -> None:
    availability = Availability()
    recovery.begin_probation(availability, object())
    assert availability.tester is None


def test_recovering_says_whether_it_was_away() -> None:
    availability = Availability()
    assert not recovery.recover(availability, NOW)
    down(availability, NOW)
    recovery.begin_probation(availability, object())
    assert recovery.recover(availability, NOW + 60)
    assert availability == Availability(since=NOW, relapses=1, recovered_at=NOW + 60)


def test_standby_without_end_waits_for_a_probe_or_an_operator() -> None:
    availability = Availability()
    recovery.stand_by_indefinitely(availability, "no answer", "probe", NOW)
    assert recovery.status(availability, NOW + 10**9) == STANDBY
    assert recovery.objection(availability, NOW + 10**9) == "no answer"
    assert recovery.recovers_in(availability, NOW) is None
    assert not down(availability, NOW + 1)
    assert availability.until == INDEFINITELY, "a late failure must not shorten it"
    recovery.stand_by_indefinitely(availability, "still none", "probe", NOW + 5)
    assert (availability.since, availability.reason) == (NOW, "still none")


def test_an_operators_word_forgets_the_relapses() -> None:
    availability = Availability()
    down(availability, NOW)
    assert recovery.reset(availability, NOW + 1)
    assert (availability.relapses, availability.standby) == (0, False)
    assert not recovery.reset(availability, NOW + 2)


@given(some.lists(some.tuples(some.sampled_from(["fail", "late", "test", "recover"]), some.floats(0, 2000))))
def test_a_cooldown_is_always_within_its_bounds(events: list[tuple[str, float]]) -> None:
    availability, now = Availability(), NOW
    for event, pause in events:
        now += pause
        if event == "recover":
            recovery.recover(availability, now)
        elif event == "test" and recovery.objection(availability, now) is None:
            tester = object()
            recovery.begin_probation(availability, tester)
            recovery.end_probation(availability, tester)
        else:
            down(availability, now, object() if event == "late" else None)
        if availability.standby:
            assert availability.until - now <= POLICY.max_cooldown
        assert recovery.recovers_in(availability, now) == pytest.approx(max(availability.until - now, 0.0))
