"""The wall clock is set: durations stay the same, and what follows the calendar follows the clock."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.routing.availability import consequences, recovery, saved
from meshd.routing.availability import state as states
from meshd.routing.budgets.windows import ROLLING, Rolling
from meshd.routing.decision.stages import maintenance
from meshd.routing.standing import INDEFINITELY, Availability
from meshd.routing.table.policies import DeactivationPolicy
from meshd.routing.table.specs import ProviderSpec
from meshd.sdk.provider import FailureKind
from tests.support.routing.causes import HELD, USED_UP
from tests.support.routing.routing_builders import CHAT_NEEDS, Mesh, failure, mesh, model

YEARS = 3 * 365 * 86400.0
STEPS = st.sampled_from([-YEARS, -7200.0, -1.0, 1.0, 7200.0, YEARS]) | st.floats(-YEARS, YEARS)
MANY = st.lists(STEPS, min_size=1, max_size=5)


def step(made: Mesh, seconds: float) -> None:
    recovery.clock_set(made.state, made.state.ahead + seconds)


def wall(made: Mesh) -> float:
    return made.now + made.state.ahead


def fail(made: Mesh, kind: FailureKind = FailureKind.SERVER, **given: object) -> None:
    spec = made.table.models["p.m"]
    provider = made.table.providers["p"]
    for _ in range(made.pool.deactivation.retry_limit):
        consequences.record_failure(made.state, made.pool, spec, provider, failure(kind, **given), made.now)


@given(MANY)
def test_a_rest_lasts_as_long_whatever_happens_to_the_clock(steps: list[float]) -> None:
    made = mesh("p.m")
    fail(made)
    rest = recovery.recovers_in(made.member("p.m"), made.now)
    assert rest
    for seconds in steps:
        step(made, seconds)
        assert recovery.recovers_in(made.member("p.m"), made.now) == rest
    made.now += rest
    assert made.decide() == "p.m"


@given(MANY)
def test_a_deadline_is_as_far_away_whatever_happens_to_the_clock(steps: list[float]) -> None:
    made = mesh("p.m")
    plan = made.plan(timeout=10.0)
    for seconds in steps:
        step(made, seconds)
    assert plan.deadline - made.now == 10.0
    assert not isinstance(plan.next(made.now), BaseException)


@given(MANY)
def test_a_quota_of_the_day_resets_at_the_midnight_that_the_clock_shows(steps: list[float]) -> None:
    made = mesh("p.m", providers=[ProviderSpec("p", "modelmesh.scripted.v1", quota_reset="daily")])
    step(made, 1_700_000_000.0)
    for seconds in steps:
        step(made, seconds)
    fail(made, FailureKind.QUOTA)
    known = made.state.model("p.m").availability
    midnight = datetime.fromtimestamp(known.until + made.state.ahead, UTC)
    assert 0.0 < known.until - made.now <= 86400.0
    assert midnight.timestamp() % 86400 == pytest.approx(0, abs=0.01) or midnight.timestamp() % 86400 > 86399


@given(STEPS)
def test_what_waits_for_the_calendar_waits_for_where_it_is_now(seconds: float) -> None:
    made = mesh("p.m")
    step(made, 1_700_000_000.0)
    until = made.now + 50_000.0
    for availability, probation in ((Availability(), False), (Availability(), True)):
        made.state.models["p.m"] = states.ModelState(availability)
        recovery.stand_by_until(availability, USED_UP, until, made.now)
        availability.probation = probation
        shown = until + made.state.ahead
        step(made, seconds)
        stays = availability.until if probation else availability.until + made.state.ahead
        assert stays == pytest.approx(until if probation else shown)


def test_what_only_an_operator_brings_back_is_left_alone() -> None:
    made = mesh("p.m")
    recovery.stand_by_indefinitely(made.member("p.m"), HELD, made.now)
    step(made, YEARS)
    assert made.member("p.m").until == INDEFINITELY


def test_a_maintenance_window_is_the_wall_clocks() -> None:
    made = mesh("p.m", deactivation=DeactivationPolicy(maintenance_window="0 2 * * * 1h"))
    made.now = 86400.0 * 20_000 + 12 * 3600
    assert made.decide() == "p.m"
    step(made, 14.5 * 3600)  # it is half past two now
    assert made.decide() is None
    assert maintenance.ends_in(made.pool, wall(made), "UTC") == 1800.0
    step(made, -14.5 * 3600)
    assert made.decide() == "p.m"


@given(MANY, st.floats(0.0, 1e6))
def test_what_is_kept_over_a_restart_is_by_the_wall_clock(steps: list[float], later: float) -> None:
    made = mesh("p.m")
    for seconds in steps:
        step(made, seconds)
    fail(made)
    known = made.member("p.m")
    rest = known.until - made.now
    kept = saved.by_the_wall_clock(saved.dump_member(made.state.member("chat", "p.m")) or {}, made.state.ahead)
    loaded = saved.load_member(kept, wall(made)).availability
    assert loaded.until - wall(made) == pytest.approx(rest, abs=0.01)
    for then in (wall(made) + later, wall(made) - later):  # whatever the clock says at the next start
        assert saved.load_member(kept, then).availability.until - then <= rest + 0.01


@given(MANY)
def test_24_hours_are_never_more_than_a_day_from_now(steps: list[float]) -> None:
    rolling, now = Rolling(), 10 * YEARS
    rolling.reserve(1, 1, now)
    for seconds in steps:
        now += seconds
        rolling.advance(now)
        rolling.reserve(1, 1, now)
        assert all(bucket.until <= now + ROLLING + 60 for bucket in rolling.buckets)
    rolling.advance(now + ROLLING + 60)
    assert rolling.total.taken == [0, 0, 0]


def test_a_request_of_the_new_day_is_counted_there() -> None:
    made = mesh(model("p.m"))
    step(made, 1_700_000_000.0)
    made.ask(CHAT_NEEDS)
    first = made.state.accounts.period
    step(made, 2 * 86400.0)
    made.ask(CHAT_NEEDS)
    second = made.state.accounts.period
    assert first is not None
    assert second is not None
    assert second.start - first.start == 2 * 86400.0
