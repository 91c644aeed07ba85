"""Error rates over a window, and keys of which there are several."""

from __future__ import annotations

from meshd.core.events.cause import Cause
from meshd.routing.availability import consequences, recovery
from meshd.routing.availability.error_rate import LEAST_SAMPLES
from meshd.routing.availability.state import Change
from meshd.routing.table.policies import DeactivationPolicy
from meshd.routing.table.specs import KeySpec, ProviderSpec
from meshd.sdk.provider import FailureKind, ProviderFailure
from tests.support.routing.causes import BACK
from tests.support.routing.routing_builders import NOW, SERVER, Mesh, failure, mesh

HALF = DeactivationPolicy(retry_limit=100, error_rate_threshold=0.5, window=60.0)


def fail(made: Mesh, failed: ProviderFailure = SERVER, now: float = NOW, last_key: bool = False) -> list[Change]:
    spec = made.table.models["p.a"]
    return consequences.record_failure(
        made.state, made.pool, spec, made.table.providers["p"], failed, now, last_key=last_key
    )


def succeed(made: Mesh, now: float = NOW) -> list[Change]:
    return consequences.record_success(made.state, made.pool, made.table.models["p.a"], made.table.providers["p"], now)


def test_a_model_that_fails_too_often_is_set_aside_though_it_answers_in_between() -> None:
    made = mesh("p.a", deactivation=HALF)
    for _ in range(3):
        succeed(made)
    assert fail(made) == fail(made) == []
    (change,) = fail(made)
    assert change.reason == "3 of its last 6 requests failed within 60 s, the last: it failed"
    assert (change.why.cause, change.why.count, change.why.of, change.why.within) == (Cause.FAILURE_RATE, 3, 6, 60.0)
    assert change == Change("member", False, change.why, "chat", "p.a", "p", NOW + 60)
    assert made.state.member("chat", "p.a").outcomes.rate(NOW).requests == 0, "what is over counts no more"


def test_one_failure_of_few_requests_is_not_a_rate() -> None:
    made = mesh("p.a", deactivation=HALF)
    assert not any(fail(made) for _ in range(LEAST_SAMPLES - 1))
    assert len(fail(made)) == 1


def test_failures_that_are_older_than_the_window_count_no_more() -> None:
    made = mesh("p.a", deactivation=HALF)
    for number in range(90):
        assert fail(made, now=NOW + 16.0 * number) == [], "four in a minute"


def test_without_a_threshold_the_rate_is_only_shown() -> None:
    made = mesh("p.a", deactivation=DeactivationPolicy(retry_limit=100))
    for _ in range(50):
        assert fail(made) == []
    assert made.state.member("chat", "p.a").outcomes.rate(NOW).fraction == 1.0


def test_what_does_not_count_as_a_failure_is_in_no_rate() -> None:
    made = mesh("p.a", deactivation=HALF)
    for _ in range(50):
        fail(made, failure(FailureKind.UNSUPPORTED))
        fail(made, failure(FailureKind.SERVER, 498))
    assert made.state.member("chat", "p.a").outcomes.rate(NOW) == (0, 0)


def test_failures_of_requests_that_were_under_way_do_not_set_aside_what_came_back() -> None:
    made = mesh("p.a", deactivation=HALF)
    for _ in range(20):
        fail(made)
    recovery.reset(made.member("p.a"), NOW + 1, BACK)
    assert fail(made, now=NOW + 2) == []


# -- several keys ----------------------------------------------------------------------------------------


def test_a_403_with_every_key_sets_its_provider_aside() -> None:
    keys = ProviderSpec("p", "x", keys=(KeySpec("1"), KeySpec("2")))
    made = mesh("p.a", providers=[keys])
    assert fail(made, failure(FailureKind.PERMISSION)) == []
    (change,) = fail(made, failure(FailureKind.PERMISSION), last_key=True)
    assert (change.scope, change.reason) == ("provider", "all of its keys are refused: it failed")


def test_unless_the_pool_leaves_its_providers_alone() -> None:
    made = mesh("p.a", deactivate_on_auth_failure=False)
    assert fail(made, failure(FailureKind.PERMISSION), last_key=True) == []
