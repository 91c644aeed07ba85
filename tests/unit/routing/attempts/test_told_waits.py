"""`Retry-After`: kept to within the longest rest, told beyond it, and by a quota kept to in any case."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from meshd.routing.availability import probes
from meshd.routing.availability.retry_after import bound_wait
from meshd.routing.rates.header_limits import LeftAlone
from meshd.routing.table.policies import DeactivationPolicy, RecoveryPolicy, RetryPolicy
from meshd.sdk.provider import FailureKind
from tests.support.routing.routing_builders import NOW, failure, mesh, tried

PASSING = (FailureKind.RATE_LIMIT, FailureKind.SERVER, FailureKind.TIMEOUT, FailureKind.CONNECTION)


@given(
    kind=some.sampled_from(PASSING),
    asked=some.floats(0, 32 * 86400),
    cooldown=some.floats(0.1, 3600),
    longest=some.floats(0.1, 3600),
)
def test_nothing_is_left_alone_for_longer_than_the_longest_rest(
    kind: FailureKind, asked: float, cooldown: float, longest: float
) -> None:
    policy = RecoveryPolicy(cooldown, longest)
    made = mesh("p.a", deactivation=DeactivationPolicy(1), recovery=policy, retry=RetryPolicy(1))
    plan = made.plan(timeout=10**9)
    tried(plan.next(NOW))
    plan.failed(failure(kind, retry_after=asked), NOW, 0.1)
    most = max(cooldown, longest) + 0.001
    assert made.member("p.a").until <= NOW + most
    alone = made.state.rates.left_alone("p.a", NOW)
    assert alone is None or alone.until <= NOW + most
    assert ("asked us to wait" in made.state.model("p.a").last_failure_reason) == (asked > max(cooldown, longest))


def test_a_probe_that_is_told_to_wait_is_told_no_longer() -> None:
    made = mesh("p.a", recovery=RecoveryPolicy(60.0, 900.0))
    model, told = made.table.models["p.a"], failure(FailureKind.RATE_LIMIT, retry_after=7200.0)
    probes.record_probe(made.state, made.pool, model, made.table.providers["p"], told, NOW, object())
    assert made.member("p.a").until == NOW + 900
    assert "asked us to wait 2 h" in made.member("p.a").reason


def test_a_quotas_reset_is_waited_for() -> None:
    told = failure(FailureKind.QUOTA, retry_after=7200.0)
    bound_wait(told, RetryPolicy(), RecoveryPolicy())
    assert told.retry_after == 7200.0
    assert "asked us to wait 2 h" in told.message


@pytest.mark.parametrize("saved", [None, 1, "x", [], {}, {"since": NOW}, {"since": "a", "until": NOW + 9}])
@pytest.mark.parametrize("until", [None, float("nan"), float("inf"), True, "soon"])
def test_a_saved_rest_that_cannot_be_read_is_none(saved: object, until: object) -> None:
    if isinstance(saved, dict) and until is not None:
        saved = {**saved, "until": until}
    assert LeftAlone.load(saved, NOW) is None


def test_a_saved_rest_is_never_longer_than_it_was() -> None:
    saved = LeftAlone(NOW, NOW + 900, "busy").dump(ahead=50.0)
    for later, left in ((50.0, 900.0), (150.0, 800.0), (-3600.0, 900.0)):
        loaded = LeftAlone.load(saved, NOW + later)
        assert loaded is not None
        assert loaded.reason == "busy"
        assert loaded.left(NOW + later) == left
    assert LeftAlone.load(saved, NOW + 950.0) is None
