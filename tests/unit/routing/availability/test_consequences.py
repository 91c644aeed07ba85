"""What takes a model out of a pool, or a provider out of all pools, and what brings it back."""

from __future__ import annotations

import pytest

from meshd.core.events.cause import Cause, Why
from meshd.routing.availability import consequences, probes
from meshd.routing.availability.state import Change
from meshd.routing.standing import INDEFINITELY
from meshd.routing.table.policies import DeactivationPolicy, RecoveryPolicy, RetryPolicy
from meshd.routing.table.specs import PoolSpec, ProviderSpec
from meshd.sdk.provider import FailureKind, ProviderFailure
from tests.support.routing.routing_builders import CONNECTION, NOW, SERVER, Mesh, failure, mesh


def fail(
    made: Mesh, model: str, failed: ProviderFailure, now: float = NOW, tester: object | None = None
) -> list[Change]:
    spec = made.table.models[model]
    provider = made.table.providers[spec.provider]
    return consequences.record_failure(made.state, made.pool, spec, provider, failed, now, tester)


def succeed(made: Mesh, model: str, now: float = NOW) -> list[Change]:
    spec = made.table.models[model]
    return consequences.record_success(made.state, made.pool, spec, made.table.providers[spec.provider], now)


# -- models --------------------------------------------------------------------------------------------


def test_consecutive_failures_put_a_model_on_standby_in_its_pool() -> None:
    made = mesh("p.a")
    failed = failure(FailureKind.TIMEOUT, message="no answer within 60 s")
    assert fail(made, "p.a", failed) == fail(made, "p.a", failed) == []
    (change,) = fail(made, "p.a", failed)
    why = Why(Cause.FAILURES, FailureKind.TIMEOUT, "no answer within 60 s", failed.status, count=3)
    assert change == Change("member", False, why, "chat", "p.a", "p", NOW + 60)
    assert change.reason == "3 failures in a row, the last: no answer within 60 s"
    assert made.member("p.a").standby
    assert not made.state.model("p.a").availability.standby, "other pools have rules of their own"


def test_a_success_between_starts_the_count_again() -> None:
    made = mesh("p.a")
    for _ in range(10):
        fail(made, "p.a", failure(FailureKind.TIMEOUT))
        fail(made, "p.a", failure(FailureKind.TIMEOUT))
        succeed(made, "p.a")
    assert not made.member("p.a").standby
    known = made.state.model("p.a")
    assert (known.failures, known.last_failure, known.last_failure_reason) == (20, NOW, "timeout: it failed")


def test_many_failures_at_once_are_one_deactivation() -> None:
    made = mesh("p.a", "p.b")
    changes = [change for _ in range(64) for change in fail(made, "p.a", SERVER)]
    assert len(changes) == 1
    assert made.member("p.a").until == NOW + 60


def test_a_probations_failure_is_a_relapse_at_once() -> None:
    made, tester = mesh("p.a", deactivation=DeactivationPolicy(retry_limit=1)), object()
    fail(made, "p.a", SERVER)
    made.member("p.a").tester = tester
    (change,) = fail(made, "p.a", SERVER, NOW + 60, tester)
    assert change.until == NOW + 60 + 120


def overdue(made: Mesh, after: float, duration: float = consequences.PATIENCE) -> list[Change]:
    return consequences.record_overdue(made.state, made.pool, made.table.models["p.a"], duration, NOW + after)


def test_a_model_that_answers_no_request_by_its_deadline_is_set_aside() -> None:
    made = mesh("p.a")
    assert overdue(made, -20) == overdue(made, -10) == []
    (change,) = overdue(made, 0)
    assert change.reason == "3 requests in a row had no answer from it within their own deadlines"
    assert (made.member("p.a").standby, made.member("p.a").until) == (True, NOW + 60)
    assert overdue(made, 10) == overdue(made, 20) == overdue(made, 30) == [], "it rests already"


def test_requests_whose_deadlines_pass_together_are_one_failure() -> None:
    made = mesh("p.a")
    for number in range(50):
        assert overdue(made, number / 50) == [], "all of them were under way together"
    assert made.state.member("chat", "p.a").overdue == 1
    assert overdue(made, 10) == []
    (change,) = overdue(made, 20)
    assert change.reason.startswith("3 requests in a row")


def test_apps_with_a_short_deadline_take_no_model_out_nor_does_one_that_answers_others() -> None:
    made = mesh("p.a")
    for number in range(10):
        assert overdue(made, 10 * number, consequences.PATIENCE - 1) == []
    for number in range(2):
        assert overdue(made, 100 + 40 * number) == overdue(made, 120 + 40 * number) == []
        succeed(made, "p.a")


def test_retry_after_is_the_least_rest() -> None:
    made = mesh("p.a", deactivation=DeactivationPolicy(retry_limit=1))
    fail(made, "p.a", failure(FailureKind.RATE_LIMIT, retry_after=500.0))
    assert made.member("p.a").until == NOW + 500


@pytest.mark.parametrize(
    ("failed", "counts"),
    [
        (failure(FailureKind.SERVER, 500), True),
        (failure(FailureKind.SERVER, 520), True),
        (failure(FailureKind.RATE_LIMIT), True),
        (failure(FailureKind.QUOTA, 402), True),
        (failure(FailureKind.AUTHENTICATION), True),
        (failure(FailureKind.PERMISSION), True),
        (failure(FailureKind.TIMEOUT), True),
        (failure(FailureKind.CONNECTION), True),
        (failure(FailureKind.STREAM_CUT, 200), True),
        (failure(FailureKind.BAD_ANSWER, 302), True),
        (failure(FailureKind.MODEL_NOT_FOUND), False),  # the model's own standby is for that
        (failure(FailureKind.SERVER, 498), False),
        (failure(FailureKind.UNSUPPORTED), False),
        (failure(FailureKind.CONTEXT_LENGTH), False),
        (failure(FailureKind.INVALID_REQUEST, 422), False),
        (failure(FailureKind.CANCELLED), False),
    ],
)
def test_by_default_what_counts_is_retryable_codes_refused_keys_and_no_answer(
    failed: ProviderFailure, counts: bool
) -> None:
    made = mesh("p.a")
    assert consequences.counts(failed, made.pool, made.table.providers["p"]) is counts


def test_configured_codes_count_alone() -> None:
    pool = PoolSpec("chat", "", (), deactivation=DeactivationPolicy(error_codes=frozenset({418, 404})))
    provider = ProviderSpec("p", "x")
    assert consequences.counts(failure(FailureKind.SERVER, 418), pool, provider)
    assert consequences.counts(failure(FailureKind.MODEL_NOT_FOUND), pool, provider)
    assert not consequences.counts(failure(FailureKind.SERVER, 500), pool, provider)
    assert consequences.counts(failure(FailureKind.CONNECTION), pool, provider), "no answer always counts"
    assert not consequences.counts(failure(FailureKind.UNSUPPORTED, 418), pool, provider), "blameless never"


def test_the_pools_retryable_codes_stand_in_for_its_providers() -> None:
    pool = PoolSpec("chat", "", (), retry=RetryPolicy(retryable_codes=frozenset({499})))
    provider = ProviderSpec("p", "x")
    assert consequences.counts(failure(FailureKind.SERVER, 499), pool, provider)
    assert not consequences.counts(failure(FailureKind.RATE_LIMIT, 429), pool, provider)


@pytest.mark.parametrize(
    "kind",
    [FailureKind.UNSUPPORTED, FailureKind.CONTEXT_LENGTH, FailureKind.INVALID_REQUEST, FailureKind.CANCELLED],
)
def test_a_model_is_not_blamed_for_the_request(kind: FailureKind) -> None:
    made = mesh("p.a")
    assert [change for _ in range(50) for change in fail(made, "p.a", failure(kind))] == []
    assert made.state.model("p.a").failures == 0
    assert made.decide() == "p.a"


def test_a_model_its_provider_does_not_have_leaves_every_pool_at_once() -> None:
    made = mesh("p.a", "p.b")
    (change,) = fail(made, "p.a", failure(FailureKind.MODEL_NOT_FOUND, message="no such model"))
    assert (change.why.cause, change.reason) == (Cause.MODEL_NOT_FOUND, "no such model")
    assert change == Change("model", False, change.why, "", "p.a", "p", NOW + 60)
    assert made.state.member("chat", "p.a").failures == 0
    assert made.decide() == "p.b"


def test_a_model_that_was_not_found_relapses_by_whatever_failure_its_test_has() -> None:
    made, tester = mesh("p.a"), object()
    fail(made, "p.a", failure(FailureKind.MODEL_NOT_FOUND))
    known = made.state.model("p.a").availability
    known.tester = tester
    (change,) = fail(made, "p.a", failure(FailureKind.TIMEOUT), NOW + 60, tester)
    assert (change.scope, known.until) == ("model", NOW + 180)


def test_a_success_brings_back_all_that_was_away() -> None:
    made = mesh("p.a", "p.b", deactivation=DeactivationPolicy(retry_limit=1))
    fail(made, "p.a", failure(FailureKind.TIMEOUT))
    fail(made, "p.a", failure(FailureKind.AUTHENTICATION))
    fail(made, "p.a", failure(FailureKind.MODEL_NOT_FOUND))
    changes = succeed(made, "p.a", NOW + 60)
    assert [(change.scope, change.available) for change in changes] == [
        ("provider", True),
        ("model", True),
        ("member", True),
    ]
    assert made.state.provider("p").auth_valid
    assert succeed(made, "p.a") == []


def test_what_its_provider_rests_for_is_not_the_models() -> None:
    made = mesh("p.a")
    for _ in range(10):
        fail(made, "p.a", CONNECTION)
    assert made.state.provider("p").availability.standby
    assert (made.member("p.a").standby, made.state.member("chat", "p.a").failures) == (False, 1)
    assert succeed(made, "p.a", NOW + 60)
    fail(made, "p.a", failure(FailureKind.TIMEOUT), NOW + 61)
    assert made.state.member("chat", "p.a").failures == 1


# -- providers -----------------------------------------------------------------------------------------


def test_a_refused_key_takes_its_provider_out_at_once() -> None:
    made = mesh("p.a", "q.c", "p.b")
    (change,) = fail(made, "p.a", failure(FailureKind.AUTHENTICATION, message="bad key"))
    assert (change.why.cause, change.reason) == (Cause.KEY_REFUSED, "its key is refused: bad key")
    assert change == Change("provider", False, change.why, provider="p", until=NOW + 60)
    assert not made.state.provider("p").auth_valid
    assert made.decide() == "q.c"


def test_a_pool_may_leave_its_providers_alone() -> None:
    made = mesh("p.a", "p.b", deactivate_on_auth_failure=False, deactivate_on_outage=False)
    for model in ("p.a", "p.b"):
        for kind in (FailureKind.AUTHENTICATION, FailureKind.PERMISSION, FailureKind.CONNECTION, FailureKind.SERVER):
            assert not any(change.scope == "provider" for change in fail(made, model, failure(kind)))
    assert not made.state.provider("p").auth_valid, "it is known all the same"


def test_a_provider_that_cannot_be_reached_twice_in_a_row_is_out() -> None:
    made = mesh("p.a", "p.b")
    assert fail(made, "p.a", CONNECTION) == []
    (change,) = fail(made, "p.b", CONNECTION)
    assert (change.scope, change.reason) == ("provider", "it cannot be reached: it failed")


@pytest.mark.parametrize("kind", [FailureKind.UNSUPPORTED, FailureKind.RATE_LIMIT, FailureKind.SERVER])
def test_an_answer_of_any_kind_shows_that_it_can_be_reached(kind: FailureKind) -> None:
    made = mesh("p.a")
    for _ in range(2):
        fail(made, "p.a", CONNECTION)
        fail(made, "p.a", failure(kind))
    assert not made.state.provider("p").availability.standby


def test_one_failing_model_leaves_its_provider_alone_and_a_second_does_not() -> None:
    made = mesh("p.a", "p.b")
    for _ in range(5):
        assert not any(change.scope == "provider" for change in fail(made, "p.a", SERVER))
    changes = fail(made, "p.b", SERVER)
    assert changes[0].reason == "2 of its models fail: it failed"


def test_5xx_with_a_success_between_are_not_an_outage() -> None:
    made = mesh("p.a", "p.b")
    fail(made, "p.a", SERVER)
    succeed(made, "p.b")
    fail(made, "p.b", SERVER)
    assert not made.state.provider("p").availability.standby


def test_one_forbidden_model_leaves_its_provider_alone_and_several_say_the_key_is() -> None:
    made = mesh("p.a", "p.b")
    forbidden = failure(FailureKind.PERMISSION)
    assert fail(made, "p.a", forbidden) == fail(made, "p.a", forbidden) == []
    (change,) = fail(made, "p.b", forbidden)
    assert change.reason == "2 of its models are forbidden: it failed"


def test_a_providers_relapse_needs_a_failure_that_is_about_it() -> None:
    made, tester = mesh("p.a", "p.b"), object()
    fail(made, "p.a", CONNECTION)
    fail(made, "p.a", CONNECTION)
    known = made.state.provider("p").availability
    known.tester = tester
    fail(made, "p.a", failure(FailureKind.MODEL_NOT_FOUND), NOW + 60, tester)
    assert known.until == NOW + 60, "its other models are as good as they were"
    fail(made, "p.b", failure(FailureKind.TIMEOUT), NOW + 60, tester)
    assert known.until == NOW + 180
    assert known.reason == "it cannot be reached: it failed"


# -- health reports ------------------------------------------------------------------------------------


def test_a_failed_probe_takes_a_provider_out_until_one_succeeds() -> None:
    made = mesh("p.a")
    (change,) = probes.record_health(made.state, "p", False, "refused", NOW)
    assert change == Change("provider", False, Why(Cause.PROBE_FAILED, said="refused"), provider="p")
    assert change.reason == "it does not answer probes: refused"
    assert made.state.provider("p").availability.until == INDEFINITELY
    assert probes.record_health(made.state, "p", False, "refused", NOW) == []
    (change,) = probes.record_health(made.state, "p", True, "", NOW + 60)
    assert change == Change("provider", True, Why(Cause.PROBE_ANSWERED), provider="p")
    assert probes.record_health(made.state, "p", True, "", NOW) == []


def test_a_successful_probe_ends_what_spoke_against_a_provider() -> None:
    made = mesh("p.a", "p.b", "p.c")
    fail(made, "p.a", CONNECTION)
    fail(made, "p.a", SERVER)
    fail(made, "p.a", failure(FailureKind.PERMISSION))
    probes.record_health(made.state, "p", True, "", NOW)
    for kind in (FailureKind.CONNECTION, FailureKind.SERVER, FailureKind.PERMISSION):
        fail(made, "p.b", failure(kind))
    assert not made.state.provider("p").availability.standby


def test_a_probe_does_not_bring_back_what_only_an_operator_may() -> None:
    made = mesh("p.a")
    fail(made, "p.a", failure(FailureKind.AUTHENTICATION))
    assert probes.record_health(made.state, "p", True, "", NOW, recover_on_probe=False) == []
    assert made.state.provider("p").availability.standby


def test_a_pools_own_cooldown_is_used() -> None:
    made = mesh("p.a", recovery=RecoveryPolicy(5.0, 7.0), deactivation=DeactivationPolicy(retry_limit=1))
    fail(made, "p.a", failure(FailureKind.TIMEOUT))
    assert made.member("p.a").until == NOW + 5


def test_a_rest_is_as_long_as_the_provider_asked_where_the_pool_honours_it() -> None:
    for honours, rest in ((True, 500.0), (False, 60.0)):
        made = mesh("p.a", deactivation=DeactivationPolicy(1), retry=RetryPolicy(honor_retry_after=honours))
        failed = failure(FailureKind.RATE_LIMIT, retry_after=500.0)
        spec = made.table.models["p.a"]
        consequences.record_failure(made.state, made.pool, spec, made.table.providers["p"], failed, made.now)
        assert made.member("p.a").until == made.now + rest
