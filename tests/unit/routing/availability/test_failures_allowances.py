"""What has used up what it may: by our count, and by its provider's word."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from meshd.core.durations import format_duration
from meshd.routing.availability import failures, recovery
from meshd.routing.availability.state import INDEFINITELY, Change
from meshd.routing.budgets.accounts import Alert
from meshd.routing.table.policies import RecoveryPolicy
from meshd.routing.table.specs import Allowance, PoolSpec, ProviderSpec, RoutingTable
from meshd.sdk.provider import FailureKind, QuotaStatus
from tests.support.routing.routing_builders import NOW, Mesh, failure, mesh, model

TOMORROW = 1036800.0  # the midnight after NOW, UTC
FEBRUARY = 2678400.0
NOTHING_LEFT = QuotaStatus(remaining=0.0)
TESTER = object()


def rule(window: Any = "day", measure: Any = "requests", limit: int = 10, name: str = "chat\0p.a") -> Allowance:
    return Allowance("member", name, measure, window, limit, source="rule")


def quota(**given: Any) -> Allowance:
    return replace(Allowance("provider", "p", "tokens", "month", 1000, source="quota"), **given)


def used_up(
    made: Mesh, allowance: Allowance, spent: int | None = None, reserved: int = 0, resets_at: float | None = TOMORROW
) -> list[Change]:
    alert = Alert("budget_exceeded", allowance, allowance.limit if spent is None else spent, reserved, resets_at)
    return failures.record_used_up(made.state, made.table, alert, made.now)


def exhausted(
    made: Mesh, id: str = "p.a", now: float = NOW, tester: object | None = None, **given: Any
) -> list[Change]:
    spec = made.table.models[id]
    failed = failure(FailureKind.QUOTA, message="no credit", **given)
    provider = made.table.providers[spec.provider]
    return failures.record_failure(made.state, made.pool, spec, provider, failed, now, tester)


# -- by our count ----------------------------------------------------------------------------------------


def test_a_member_that_used_up_its_rule_rests_until_the_reset_and_comes_back_untested() -> None:
    made = mesh("p.a", "p.b")
    (change,) = used_up(made, rule())
    reason = "it has used up 10 requests of the day"
    assert change == Change("member", False, reason, "chat", "p.a", "p", TOMORROW)
    assert made.decide() == "p.b"
    assert recovery.objection(made.member("p.a"), NOW) == f"{reason}; back in {format_duration(TOMORROW - NOW)}"
    made.now = TOMORROW
    assert recovery.status(made.member("p.a"), made.now) == recovery.ACTIVE
    assert made.decide() == "p.a"
    assert recovery.wake(made.state, made.now) == [Change("member", True, "its cooldown ended", "chat", "p.a")]
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
    (change,) = used_up(mesh("p.a"), allowance)
    assert change.reason == says


def test_without_a_window_it_rests_for_the_cooldown_which_does_not_grow() -> None:
    made = mesh("p.a", recovery=RecoveryPolicy(cooldown=30.0))
    for _ in range(5):
        (change,) = used_up(made, rule("stint"), resets_at=None)
        assert change.until == made.now + 30
        made.now += 30
        assert made.decide() == "p.a"


def test_the_stint_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    made, begun = mesh("p.a"), []
    monkeypatch.setattr(made.state.accounts, "begin_stint", lambda *member: begun.append(member))
    used_up(made, rule("stint"), resets_at=None)
    used_up(made, rule("stint"), resets_at=None)
    assert begun == [("chat", "p.a")]


def test_where_a_reset_does_not_bring_back_an_operator_does() -> None:
    made = mesh("p.a", recovery=RecoveryPolicy(on_quota_reset=False))
    (change,) = used_up(made, rule())
    assert change.until == INDEFINITELY
    assert recovery.recovers_in(made.member("p.a"), NOW) is None
    changes = recovery.activate(made.state, made.table, "p.a", NOW)
    assert changes == [Change("member", True, "by hand", "chat", "p.a", "p")]
    assert made.member("p.a").quota_resets == 0, "that was no reset"


def test_a_quota_sets_all_of_its_provider_aside() -> None:
    made = mesh("p.a", "q.c")
    (change,) = used_up(made, quota(), resets_at=FEBRUARY)
    assert change == Change("provider", False, "it has used up 1000 tokens of the month", provider="p", until=FEBRUARY)
    assert made.decide() == "q.c"
    made.now = FEBRUARY
    assert made.decide() == "p.a"
    assert recovery.wake(made.state, made.now) == [Change("provider", True, "its cooldown ended", provider="p")]


def test_a_provider_waits_for_an_operator_only_if_all_its_pools_do() -> None:
    def pools(*resets: bool) -> Mesh:
        made = mesh("p.a")
        specs = [
            PoolSpec(f"pool{number}", "", ("p.a",), recovery=RecoveryPolicy(on_quota_reset=each))
            for number, each in enumerate(resets)
        ]
        made.table = RoutingTable(made.table.tree, [model("p.a")], [ProviderSpec("p", "x")], specs)
        return made

    assert used_up(pools(False, True), quota())[0].until == TOMORROW
    assert used_up(pools(False, False), quota())[0].until == INDEFINITELY
    assert used_up(pools(), quota())[0].until == TOMORROW


def test_what_is_no_exhaustion_sets_nobody_aside() -> None:
    made = mesh("p.a")
    warning = Alert("budget_alert", rule(), 8, 0, TOMORROW)
    assert failures.record_used_up(made.state, made.table, warning, NOW) == []
    assert used_up(made, replace(rule(), source="budget")) == []
    assert used_up(made, quota(enforce=False)) == []
    assert used_up(made, rule(measure="tokens"), spent=9, reserved=1) == [], "it may turn out smaller"
    assert used_up(made, rule(), spent=9) == []
    assert used_up(made, rule(name="gone\0p.a")) == []
    assert used_up(made, rule(name="chat\0gone")) == []
    assert made.decide() == "p.a"


def test_requests_under_way_are_requests_and_in_a_stint_too_little_is_none() -> None:
    assert used_up(mesh("p.a"), rule(), spent=7, reserved=3)
    assert used_up(mesh("p.a"), rule("stint", "tokens"), spent=1, resets_at=None)


def test_once_is_enough() -> None:
    made = mesh("p.a")
    assert used_up(made, rule())
    assert used_up(made, rule()) == []
    assert used_up(made, quota())
    assert used_up(made, quota()) == []


def test_an_answer_that_was_under_way_does_not_bring_back_what_is_used_up() -> None:
    made = mesh("p.a")
    used_up(made, rule())
    used_up(made, quota())
    provider = made.table.providers["p"]
    assert failures.record_success(made.state, made.pool, made.table.models["p.a"], provider, NOW) == []
    assert failures.record_health(made.state, "p", True, "", NOW) == []
    assert made.decide() is None
    changes = failures.record_success(made.state, made.pool, made.table.models["p.a"], provider, TOMORROW)
    assert [change.scope for change in changes] == ["provider", "member"]


def test_what_failed_and_is_used_up_as_well_rests_for_the_longer_and_is_tested() -> None:
    made = mesh("p.a")
    recovery.stand_by(made.member("p.a"), "it fails", "server", made.pool.recovery, NOW)
    assert used_up(made, rule())
    assert recovery.status(made.member("p.a"), TOMORROW) == recovery.PROBATION
    assert recovery.wake(made.state, TOMORROW) == []


# -- by its provider's word ------------------------------------------------------------------------------


def test_a_model_whose_quota_is_used_up_rests_at_once_for_the_cooldown() -> None:
    made = mesh("p.a", "p.b")
    (change,) = exhausted(made)
    assert change == Change("model", False, "no credit", "", "p.a", "p", NOW + 60)
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
    assert provider == Change("provider", False, "its quota is used up: no credit", provider="p", until=TOMORROW)
    assert of_model.scope == "model"
    assert made.decide() == "q.c"


def test_a_late_answer_is_no_proof_of_quota_and_one_after_the_reset_is() -> None:
    made = mesh("p.a", providers=[ProviderSpec("p", "x", quota_reset="daily")])
    exhausted(made)
    spec, provider = made.table.models["p.a"], made.table.providers["p"]
    assert failures.record_success(made.state, made.pool, spec, provider, NOW + 1) == []
    (change,) = failures.record_success(made.state, made.pool, spec, provider, TOMORROW)
    assert change.scope == "model"
    assert made.state.model("p.a").availability.quota_resets == 1


def test_a_quota_that_no_reset_brings_back() -> None:
    made = mesh("p.a", recovery=RecoveryPolicy(on_quota_reset=False))
    assert exhausted(made)[0].until == INDEFINITELY


# -- by its own figures ----------------------------------------------------------------------------------


def said(made: Mesh, status: QuotaStatus, **given: Any) -> list[Change]:
    return failures.record_quota(made.state, ProviderSpec("p", "x", **given), status, made.now)


def test_a_provider_that_says_it_has_nothing_left_rests_until_it_says_otherwise() -> None:
    made = mesh("p.a")
    (change,) = said(made, NOTHING_LEFT)
    assert change == Change(
        "provider", False, "it reports its quota used up", provider="p", until=NOW + failures.ASKED_AGAIN
    )
    made.now += 60
    assert said(made, NOTHING_LEFT) == [], "no news"
    assert made.state.provider("p").availability.until == made.now + failures.ASKED_AGAIN
    assert said(made, QuotaStatus()) == [], "it does not say"
    (change,) = said(made, QuotaStatus(remaining=5.0))
    assert change == Change("provider", True, "it reports quota available again", provider="p")
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


def test_quota_that_is_left_brings_back_nobody_who_rests_for_something_else() -> None:
    made = mesh("p.a")
    failures.record_health(made.state, "p", False, "refused", NOW)
    assert said(made, QuotaStatus(remaining=5.0)) == []
    assert said(made, NOTHING_LEFT) == []
    assert made.decide() is None


def test_the_failures_of_those_who_were_under_way_are_no_news() -> None:
    made = mesh("p.a")
    exhausted(made)
    assert exhausted(made, now=NOW + 1) == []
