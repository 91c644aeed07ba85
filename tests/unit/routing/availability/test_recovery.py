"""Cooldown, probation, relapse, and how long relapses are remembered."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some

from meshd.core.events.cause import Cause, Why
from meshd.routing.availability import interventions, recovery, used_up
from meshd.routing.availability.recovery import ACTIVE, PROBATION, STANDBY
from meshd.routing.availability.state import Change, MeshState
from meshd.routing.standing import INDEFINITELY, Availability
from meshd.routing.table.policies import RecoveryPolicy
from meshd.routing.table.specs import PoolSpec, RoutingTable
from meshd.sdk.provider import FailureKind
from tests.support.routing.causes import BACK, HELD, PROBE_FAILED, USED_UP, because
from tests.support.routing.routing_builders import CHAT, NOW, Mesh, mesh

POLICY = RecoveryPolicy(cooldown=60.0, max_cooldown=900.0)


def down(availability: Availability, now: float, tester: object | None = None, at_least: float = 0.0) -> bool:
    return recovery.stand_by(availability, because("it fails"), POLICY, now, at_least, tester)


def test_it_is_active_then_on_standby_then_on_probation() -> None:
    availability = Availability()
    assert recovery.status(availability, NOW) == ACTIVE
    assert recovery.objection(availability, NOW, operator=True) is None
    assert recovery.recovers_in(availability, NOW) == 0.0
    assert down(availability, NOW)
    assert recovery.status(availability, NOW + 59.9) == STANDBY
    assert recovery.objection(availability, NOW + 20, operator=True) == "it fails; tried again in 40 s"
    assert recovery.recovers_in(availability, NOW + 20) == 40.0
    assert recovery.status(availability, NOW + 60) == PROBATION
    assert recovery.objection(availability, NOW + 60, operator=True) is None
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
    recovery.recover(availability, NOW + 60, BACK)
    down(availability, NOW + 61)
    assert availability.until == NOW + 61 + 120
    recovery.recover(availability, NOW + 181, BACK)
    down(availability, NOW + 181 + 901)
    assert availability.until == NOW + 181 + 901 + 60


def test_the_failures_of_those_who_were_under_way_are_not_relapses() -> None:
    availability = Availability()
    assert down(availability, NOW)
    assert [down(availability, NOW + 1) for _ in range(61)] == [False] * 61
    assert availability.until == NOW + 60
    assert availability.relapses == 1


def test_a_late_failure_is_not_a_relapse_of_a_model_that_another_request_tests() -> None:
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
    assert "one request is testing it" in str(recovery.objection(availability, NOW + 60, operator=True))
    recovery.end_probation(availability, second)
    assert availability.tester is first, "only its holder gives the place back"
    recovery.end_probation(availability, first)
    assert recovery.objection(availability, NOW + 60, operator=True) is None


def test_what_is_active_needs_no_tester() -> None:
    availability = Availability()
    recovery.begin_probation(availability, object())
    assert availability.tester is None


def test_recovering_says_whether_it_was_away() -> None:
    availability = Availability()
    assert not recovery.recover(availability, NOW, BACK)
    down(availability, NOW)
    recovery.begin_probation(availability, object())
    assert recovery.recover(availability, NOW + 60, BACK)
    assert availability == Availability(since=NOW, relapses=1, recovered_at=NOW + 60, standby_events=1, downtime=60)


def test_standby_without_end_waits_for_a_probe_or_an_operator() -> None:
    availability = Availability()
    recovery.stand_by_indefinitely(availability, PROBE_FAILED, NOW)
    assert recovery.status(availability, NOW + 10**9) == STANDBY
    assert recovery.objection(availability, NOW + 10**9, operator=True) == "it does not answer probes: refused"
    assert recovery.recovers_in(availability, NOW) is None
    assert not down(availability, NOW + 1)
    assert availability.until == INDEFINITELY, "a late failure must not shorten it"
    recovery.stand_by_indefinitely(availability, Why(Cause.PROBE_FAILED, said="no answer"), NOW + 5)
    assert (availability.since, availability.reason) == (NOW, "it does not answer probes: no answer")


def test_an_operators_word_forgets_the_relapses() -> None:
    availability = Availability()
    down(availability, NOW)
    assert recovery.reset(availability, NOW + 1, BACK)
    assert (availability.relapses, availability.standby) == (0, False)
    assert not recovery.reset(availability, NOW + 2, BACK)


@given(some.lists(some.tuples(some.sampled_from(["fail", "late", "test", "recover"]), some.floats(0, 2000))))
def test_a_cooldown_is_always_within_its_bounds(events: list[tuple[str, float]]) -> None:
    availability, now = Availability(), NOW
    for event, pause in events:
        now += pause
        if event == "recover":
            recovery.recover(availability, now, BACK)
        elif event == "test" and recovery.objection(availability, now, operator=True) is None:
            tester = object()
            recovery.begin_probation(availability, tester)
            recovery.end_probation(availability, tester)
        else:
            down(availability, now, object() if event == "late" else None)
        if availability.standby:
            assert availability.until - now <= POLICY.max_cooldown
        assert recovery.recovers_in(availability, now) == pytest.approx(max(availability.until - now, 0.0))


def test_a_cooldown_that_is_longer_than_the_longest_is_kept() -> None:
    availability, policy, now = Availability(), RecoveryPolicy(cooldown=7200.0, max_cooldown=900.0), NOW
    for _ in range(3):
        assert recovery.stand_by(availability, because("it fails"), policy, now)
        assert availability.until == now + 7200
        now = availability.until


def test_a_model_set_aside_by_the_calendar_is_not_tested() -> None:
    availability = Availability()
    assert recovery.stand_by_until(availability, USED_UP, NOW + 60, NOW)
    recovery.begin_probation(availability, object())
    assert availability.tester is None
    assert recovery.objection(availability, NOW + 60, operator=True) is None


def test_a_failure_after_the_rest_is_over_is_a_first_failure() -> None:
    availability = Availability()
    recovery.stand_by_until(availability, USED_UP, NOW + 60, NOW)
    assert not down(availability, NOW + 1), "it rests anyway"
    assert down(availability, NOW + 60)
    assert (availability.until, availability.since) == (NOW + 120, NOW + 60)
    assert (availability.standby_events, availability.quota_resets) == (2, 1)
    assert recovery.status(availability, NOW + 120) == PROBATION


def test_waking_looks_at_no_model_before_the_first_is_due() -> None:
    state = MeshState()
    for id, until in (("a", NOW + 60), ("b", NOW + 90)):
        recovery.stand_by_until(state.model(id).availability, USED_UP, until, NOW)
    down(state.model("c").availability, NOW)
    assert recovery.wake(state, NOW) == []
    assert state.wake_at == NOW + 60
    state.models["d"] = state.models.pop("a")
    assert recovery.wake(state, NOW + 59) == []
    assert recovery.wake(state, NOW + 60) == [Change("model", True, Why(Cause.QUOTA_RESET), model="d")]
    assert state.wake_at == NOW + 90
    recovery.wake(state, NOW + 90)
    assert state.wake_at == INDEFINITELY
    assert state.model("c").availability.standby, "it failed, and has to be tested"


# -- the calendar ----------------------------------------------------------------------------------------


def moment(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("schedule", "zone", "now", "reset"),
    [
        ("daily", "UTC", "2026-11-23T09:30", "2026-11-24"),
        ("daily", "UTC", "2026-11-23T00:00", "2026-11-24"),
        ("daily", "Europe/Berlin", "2026-03-29T00:30", "2026-03-30"),  # 23 hours
        ("daily", "Europe/Berlin", "2026-10-25T00:30", "2026-10-26"),  # 25 hours
        ("monthly", "UTC", "2026-12-31T23:59", "2027-01-01"),
        ("monthly", "Asia/Kolkata", "2028-02-29T12:00", "2028-03-01"),
    ],
)
def test_a_quota_resets_at_the_next_midnight_or_first_of_the_month(
    schedule: Any, zone: str, now: str, reset: str
) -> None:
    assert used_up.next_reset(schedule, moment(now, zone), zone) == moment(reset, zone)


def test_a_daily_reset_in_utc_is_in_utc_wherever_the_daemon_is() -> None:
    now = moment("2026-11-23T20:00", "America/New_York")
    assert used_up.next_reset("daily_utc", now, "America/New_York") == moment("2026-11-25")


@pytest.mark.parametrize("schedule", [None, "rolling"])
def test_what_follows_no_calendar_has_no_next_reset(schedule: Any) -> None:
    assert used_up.next_reset(schedule, NOW) is None


@given(
    some.sampled_from(["daily", "monthly", "daily_utc"]),
    some.sampled_from(["UTC", "Europe/Berlin", "Pacific/Apia", "America/Sao_Paulo", "Asia/Beirut"]),
    some.integers(0, 60 * 366 * 86400),
)
def test_a_reset_is_always_ahead_and_never_further_than_its_period(schedule: Any, zone: str, now: int) -> None:
    reset = used_up.next_reset(schedule, now, zone)
    assert reset is not None
    assert 0 < reset - now <= (32 if schedule == "monthly" else 2) * 86400


# -- pools that wait for an operator ---------------------------------------------------------------------


def two_pools() -> Mesh:
    made = mesh("p.a", "p.b", "q.c", recover_on_probe=False)
    other = PoolSpec("other", CHAT, ("p.a", "q.c"))
    made.table = RoutingTable(
        made.table.tree, made.table.models.values(), made.table.providers.values(), [made.pool, other]
    )
    return made


def test_in_a_pool_that_waits_for_an_operator_a_provider_stays_away_when_it_is_back_elsewhere() -> None:
    made = two_pools()
    changes = interventions.hold(made.state, made.table, "p", PROBE_FAILED, NOW)
    assert [(change.pool, change.model, change.until) for change in changes] == [
        ("chat", "p.a", None),
        ("chat", "p.b", None),
    ]
    assert (
        changes[0].reason
        == "provider p failed, and an operator has to bring it back: it does not answer probes: refused"
    )
    assert interventions.hold(made.state, made.table, "p", PROBE_FAILED, NOW) == [], "no news"
    assert made.decide() == "q.c"
    assert not made.state.member("other", "p.a").availability.standby


def test_an_operator_who_wants_one_model_back_wants_its_provider_back() -> None:
    made = two_pools()
    down(made.state.provider("p").availability, NOW)
    down(made.state.model("p.a").availability, NOW)
    interventions.hold(made.state, made.table, "p", PROBE_FAILED, NOW)
    recovery.stand_by_indefinitely(made.state.member("chat", "q.c").availability, HELD, NOW)
    made.state.member("gone", "model").availability.why = HELD
    made.state.model("p.a").deactivated = "no"
    changes = interventions.activate(made.state, made.table, "p.a", NOW)
    assert [(change.scope, change.pool, change.model, change.provider) for change in changes] == [
        ("provider", "", "", "p"),
        ("model", "", "p.a", "p"),
        ("member", "chat", "p.a", "p"),
        ("member", "chat", "p.b", "p"),
    ]
    assert all(change.available for change in changes)
    assert made.decide() == "p.a"
    assert made.state.member("chat", "q.c").availability.standby, "another provider's"
    assert interventions.activate(made.state, made.table, "p.a", NOW) == []


def test_another_key_or_address_is_a_new_chance_for_what_failed_and_for_nothing_else() -> None:
    made = mesh("p.failed", "p.used", "p.held", "p.well", "q.other", recovery=RecoveryPolicy(3600.0, 3600.0))
    state, now = made.state, made.now
    policy = made.pool.recovery
    for id in ("p.failed", "q.other"):
        recovery.stand_by(made.member(id), because("it fails", FailureKind.AUTHENTICATION), policy, now)
        state.member("chat", id).failures = 3
    recovery.stand_by(
        state.provider("p").availability, because("its key is refused", FailureKind.AUTHENTICATION), policy, now
    )
    recovery.stand_by(
        state.model("p.failed").availability, because("not there", FailureKind.MODEL_NOT_FOUND), policy, now
    )
    recovery.stand_by_until(made.member("p.used"), USED_UP, now + 60, now)
    recovery.stand_by_indefinitely(made.member("p.held"), HELD, now)
    changes = interventions.new_chance(state, made.table, "p", now)
    assert {(change.scope, change.model, change.available) for change in changes} == {
        ("provider", "", True),
        ("model", "p.failed", True),
        ("member", "p.failed", True),
    }
    assert state.member("chat", "p.failed").failures == 0
    standing = [id for id in made.pool.members if made.member(id).standby]
    assert standing == ["p.used", "p.held", "q.other"]
