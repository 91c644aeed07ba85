"""What has used up what it may: by our count, and by its provider's word."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from meshd.core.events.cause import Cause, UsedLimit, Why
from meshd.core.events.event_type import EventType
from meshd.core.text.durations import format_duration
from meshd.routing.availability import consequences, interventions, probes, recovery, used_up
from meshd.routing.availability.state import Change
from meshd.routing.budgets.records import Alert
from meshd.routing.standing import INDEFINITELY
from meshd.routing.table.policies import RecoveryPolicy
from meshd.routing.table.specs import Allowance, PoolSpec, ProviderSpec, RoutingTable
from meshd.sdk.provider import FailureKind, QuotaStatus
from tests.support.routing.causes import because
from tests.support.routing.routing_builders import NOW, Mesh, failure, mesh, model

TOMORROW = 1036800.0  # the midnight after NOW, UTC
FEBRUARY = 2678400.0
NOTHING_LEFT = QuotaStatus(remaining=0.0)
RESET = Why(Cause.QUOTA_RESET)
TESTER = object()


def rule(window: Any = "day", measure: Any = "requests", limit: int = 10, name: str = "chat\0p.a") -> Allowance:
    return Allowance("member", name, measure, window, limit, source="rule")


def quota(**given: Any) -> Allowance:
    return replace(Allowance("provider", "p", "tokens", "month", 1000, source="quota"), **given)


def spend_all(
    made: Mesh, allowance: Allowance, spent: int | None = None, reserved: int = 0, resets_at: float | None = TOMORROW
) -> list[Change]:
    alert = Alert(EventType.LIMIT_EXCEEDED, allowance, allowance.limit if spent is None else spent, reserved, resets_at)
    return used_up.record_used_up(made.state, made.table, alert, made.now)


def exhausted(
    made: Mesh, id: str = "p.a", now: float = NOW, tester: object | None = None, **given: Any
) -> list[Change]:
    spec = made.table.models[id]
    failed = failure(FailureKind.QUOTA, message="no credit", **given)
    provider = made.table.providers[spec.provider]
    return consequences.record_failure(made.state, made.pool, spec, provider, failed, now, tester)


# -- by our count ----------------------------------------------------------------------------------------


def test_a_member_that_used_up_its_rule_rests_until_the_reset_and_comes_back_untested() -> None:
    made = mesh("p.a", "p.b")
    (change,) = spend_all(made, rule())
    reason = "it has used up 10 requests of the day"
    why = Why(Cause.LIMIT_USED_UP, limit=UsedLimit(10, "requests", "day"))
    assert change == Change("member", False, why, "chat", "p.a", "p", TOMORROW)
    assert change.reason == reason
    assert made.decide() == "p.b"
    assert (
        recovery.objection(made.member("p.a"), NOW, operator=True)
        == f"{reason}; back in {format_duration(TOMORROW - NOW)}"
    )
    made.now = TOMORROW
    assert recovery.status(made.member("p.a"), made.now) == recovery.ACTIVE
    assert made.decide() == "p.a"
    assert recovery.wake(made.state, made.now) == [Change("member", True, RESET, "chat", "p.a")]
    known = made.member("p.a")
    assert (known.standby, known.quota_resets, known.standby_events, known.relapses) == (False, 1, 1, 0)
    assert known.downtime == TOMORROW - NOW


@pytest.mark.parametrize(
    ("allowance", "says"),
    [
        (rule("month", "cost", 1_500_000_000), "it has used up 1.5 USD of the month"),
        (rule("rolling", "tokens", 5000), "it has used up 5000 tokens in 24 hours"),
        (rule("stint", "requests", 3), "it has used up 3 requests since it came back"),
    ],
)
def test_the_reason_says_what_was_used(allowance: Allowance, says: str) -> None:
    (change,) = spend_all(mesh("p.a"), allowance)
    assert change.reason == says


def test_without_a_window_it_rests_for_the_cooldown_which_does_not_grow() -> None:
    made = mesh("p.a", recovery=RecoveryPolicy(cooldown=30.0))
    for _ in range(5):
        (change,) = spend_all(made, rule("stint"), resets_at=None)
        assert change.until == made.now + 30
        made.now += 30
        assert made.decide() == "p.a"


def test_the_stint_begins_again() -> None:
    made, limit = mesh("p.a"), rule("stint")
    accounts, spec = made.state.accounts, made.table.models["p.a"]
    accounts.configure({("member", limit.name): (limit,)}, "UTC")

    def requests_after_another() -> int:
        accounts.settle(accounts.reserve(made.question(), spec), 1, 1)
        return accounts.used("member", limit.name, "stint").requests

    assert [requests_after_another() for _ in range(3)] == [1, 2, 3]
    spend_all(made, limit, resets_at=None)
    assert requests_after_another() == 1
    spend_all(made, limit, resets_at=None)
    assert requests_after_another() == 2, "it was set aside already"


def test_where_a_reset_does_not_bring_back_an_operator_does() -> None:
    made = mesh("p.a", recovery=RecoveryPolicy(on_quota_reset=False))
    (change,) = spend_all(made, rule())
    assert change.until == INDEFINITELY
    assert recovery.recovers_in(made.member("p.a"), NOW) is None
    changes = interventions.activate(made.state, made.table, "p.a", NOW)
    assert changes == [Change("member", True, Why(Cause.OPERATOR), "chat", "p.a", "p")]
    assert made.member("p.a").quota_resets == 0, "that was no reset"


def test_a_quota_sets_all_of_its_provider_aside() -> None:
    made = mesh("p.a", "q.c")
    (change,) = spend_all(made, quota(), resets_at=FEBRUARY)
    why = Why(Cause.LIMIT_USED_UP, limit=UsedLimit(1000, "tokens", "month"))
    assert change == Change("provider", False, why, provider="p", until=FEBRUARY)
    assert made.decide() == "q.c"
    made.now = FEBRUARY
    assert made.decide() == "p.a"
    assert recovery.wake(made.state, made.now) == [Change("provider", True, RESET, provider="p")]


def test_a_provider_waits_for_an_operator_only_if_all_its_pools_do() -> None:
    def pools(*resets: bool) -> Mesh:
        made = mesh("p.a")
        specs = [
            PoolSpec(f"pool{number}", "", ("p.a",), recovery=RecoveryPolicy(on_quota_reset=each))
            for number, each in enumerate(resets)
        ]
        made.table = RoutingTable(made.table.tree, [model("p.a")], [ProviderSpec("p", "x")], specs)
        return made

    assert spend_all(pools(False, True), quota())[0].until == TOMORROW
    assert spend_all(pools(False, False), quota())[0].until == INDEFINITELY
    assert spend_all(pools(), quota())[0].until == TOMORROW


def test_a_warning_or_a_budget_sets_no_model_aside() -> None:
    made = mesh("p.a")
    warning = Alert(EventType.LIMIT_ALERT, rule(), 8, 0, TOMORROW)
    assert used_up.record_used_up(made.state, made.table, warning, NOW) == []
    budget = Alert(EventType.BUDGET_EXCEEDED, replace(rule(), source="budget"), 10, 0, TOMORROW)
    assert used_up.record_used_up(made.state, made.table, budget, NOW) == []
    assert spend_all(made, quota(enforce=False)) == []
    assert spend_all(made, rule(measure="tokens"), spent=9, reserved=1) == [], "it may turn out smaller"
    assert spend_all(made, rule(), spent=9) == []
    assert spend_all(made, rule(name="gone\0p.a")) == []
    assert spend_all(made, rule(name="chat\0gone")) == []
    assert made.decide() == "p.a"


def test_requests_under_way_are_requests_and_in_a_stint_too_little_is_none() -> None:
    assert spend_all(mesh("p.a"), rule(), spent=7, reserved=3)
    assert spend_all(mesh("p.a"), rule("stint", "tokens"), spent=1, resets_at=None)


def test_once_is_enough() -> None:
    made = mesh("p.a")
    assert spend_all(made, rule())
    assert spend_all(made, rule()) == []
    assert spend_all(made, quota())
    assert spend_all(made, quota()) == []


def test_an_answer_that_was_under_way_does_not_bring_back_what_is_used_up() -> None:
    made = mesh("p.a")
    spend_all(made, rule())
    spend_all(made, quota())
    provider = made.table.providers["p"]
    assert consequences.record_success(made.state, made.pool, made.table.models["p.a"], provider, NOW) == []
    assert probes.record_health(made.state, "p", True, "", NOW) == []
    assert made.decide() is None
    changes = consequences.record_success(made.state, made.pool, made.table.models["p.a"], provider, TOMORROW)
    assert [change.scope for change in changes] == ["provider", "member"]


def test_what_failed_and_is_used_up_as_well_rests_for_the_longer_and_is_tested() -> None:
    made = mesh("p.a")
    recovery.stand_by(made.member("p.a"), because("it fails"), made.pool.recovery, NOW)
    assert spend_all(made, rule())
    assert recovery.status(made.member("p.a"), TOMORROW) == recovery.PROBATION
    assert recovery.wake(made.state, TOMORROW) == []


# -- by its provider's word ------------------------------------------------------------------------------


def test_a_model_whose_quota_is_used_up_rests_at_once_for_the_cooldown() -> None:
    made = mesh("p.a", "p.b")
    (change,) = exhausted(made)
    why = Why(Cause.QUOTA_USED_UP, FailureKind.QUOTA, "no credit", change.why.status)
    assert change == Change("model", False, why, "", "p.a", "p", NOW + 60)
    assert change.reason == "no credit"
    assert made.state.member("chat", "p.a").failures == 0
    assert made.decide() == "p.b"


def test_or_for_as_long_as_its_provider_says() -> None:
    (change,) = exhausted(mesh("p.a"), retry_after=3600.0)
    assert change.until == NOW + 3600


@pytest.mark.parametrize(
    ("of_the_pool", "of_the_provider", "until"),
    [
        (None, "daily", TOMORROW),
        (None, "monthly", FEBRUARY),
        (None, "rolling", NOW + 60),
        ("daily_utc", "monthly", TOMORROW),
        ("monthly", None, FEBRUARY),
    ],
)
def test_or_until_the_quota_resets(of_the_pool: Any, of_the_provider: Any, until: float) -> None:
    provider = ProviderSpec("p", "x", quota_reset=of_the_provider)
    policy = RecoveryPolicy(quota_reset_schedule=of_the_pool)
    (change,) = exhausted(mesh("p.a", providers=[provider], recovery=policy), retry_after=7.0)
    assert change.until == until


def test_the_reset_comes_however_long_the_cooldown_is() -> None:
    provider = ProviderSpec("p", "x", quota_reset="daily")
    made = mesh("p.a", providers=[provider], recovery=RecoveryPolicy(cooldown=10**6, max_cooldown=10**6))
    assert exhausted(made)[0].until == TOMORROW


def test_a_test_that_finds_it_used_up_still_does_not_wait_for_another_day() -> None:
    made = mesh("p.a", providers=[ProviderSpec("p", "x", quota_reset="daily")])
    exhausted(made)
    known = made.state.model("p.a").availability
    recovery.begin_probation(known, TESTER)
    assert exhausted(made, now=TOMORROW, tester=TESTER)[0].until == TOMORROW + 120
    assert known.relapses == 2


def test_two_models_without_quota_are_the_whole_account() -> None:
    made = mesh("p.a", "p.b", "q.c", providers=[ProviderSpec("p", "x", quota_reset="daily")])
    assert [change.scope for change in exhausted(made)] == ["model"]
    provider, of_model = exhausted(made, "p.b")
    why = Why(Cause.QUOTA_USED_UP, FailureKind.QUOTA, "no credit", provider.why.status, count=2)
    assert provider == Change("provider", False, why, provider="p", until=TOMORROW)
    assert provider.reason == "its quota is used up: no credit"
    assert of_model.scope == "model"
    assert made.decide() == "q.c"


def test_a_late_answer_is_not_proof_of_quota_and_one_after_the_reset_is() -> None:
    made = mesh("p.a", providers=[ProviderSpec("p", "x", quota_reset="daily")])
    exhausted(made)
    spec, provider = made.table.models["p.a"], made.table.providers["p"]
    assert consequences.record_success(made.state, made.pool, spec, provider, NOW + 1) == []
    (change,) = consequences.record_success(made.state, made.pool, spec, provider, TOMORROW)
    assert change.scope == "model"
    assert made.state.model("p.a").availability.quota_resets == 1


def test_a_quota_that_no_reset_brings_back() -> None:
    made = mesh("p.a", recovery=RecoveryPolicy(on_quota_reset=False))
    assert exhausted(made)[0].until == INDEFINITELY


# -- by its own figures ----------------------------------------------------------------------------------


def said(made: Mesh, status: QuotaStatus, **given: Any) -> list[Change]:
    return used_up.record_quota(made.state, ProviderSpec("p", "x", **given), status, made.now)


def test_a_provider_that_says_it_has_nothing_left_rests_until_it_says_otherwise() -> None:
    made = mesh("p.a")
    (change,) = said(made, NOTHING_LEFT)
    assert change == Change(
        "provider", False, Why(Cause.QUOTA_REPORTED, FailureKind.QUOTA), provider="p", until=NOW + used_up.ASKED_AGAIN
    )
    made.now += 60
    assert said(made, NOTHING_LEFT) == [], "no news"
    assert made.state.provider("p").availability.until == made.now + used_up.ASKED_AGAIN
    assert said(made, QuotaStatus()) == [], "it does not say"
    (change,) = said(made, QuotaStatus(remaining=5.0))
    assert change == Change("provider", True, Why(Cause.QUOTA_AVAILABLE), provider="p")
    known = made.state.provider("p")
    assert (known.availability.quota_resets, known.quota) == (1, QuotaStatus(remaining=5.0))
    assert known.availability.downtime == 60.0


def test_or_until_its_quota_resets() -> None:
    made = mesh("p.a")
    assert said(made, NOTHING_LEFT, quota_reset="daily")[0].until == TOMORROW
    assert said(made, NOTHING_LEFT, quota_reset="daily") == []
    made.now = TOMORROW
    assert made.decide() == "p.a"
    assert recovery.wake(made.state, made.now)[0].available


def test_quota_that_is_left_brings_back_no_model_set_aside_for_another_cause() -> None:
    made = mesh("p.a")
    probes.record_health(made.state, "p", False, "refused", NOW)
    assert said(made, QuotaStatus(remaining=5.0)) == []
    assert said(made, NOTHING_LEFT) == []
    assert made.decide() is None


def test_the_failures_of_those_who_were_under_way_are_not_news() -> None:
    made = mesh("p.a")
    exhausted(made)
    assert exhausted(made, now=NOW + 1) == []
