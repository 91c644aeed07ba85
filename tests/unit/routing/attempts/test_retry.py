"""What a failure means for the request, and how long until the next attempt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from meshd.routing.attempts.retry import Verdict, delay, verdict_on
from meshd.routing.table.policies import RetryPolicy
from meshd.routing.table.specs import NON_RETRYABLE_CODES, RETRYABLE_CODES, ProviderSpec
from meshd.sdk.provider import FailureKind
from tests.support.routing.routing_builders import failure

RETRY, ROTATE, FATAL = Verdict.RETRY, Verdict.ROTATE, Verdict.FATAL
PROVIDER = ProviderSpec("p", "x")
SERVER, LIMIT = FailureKind.SERVER, FailureKind.RATE_LIMIT


@pytest.mark.parametrize(
    ("kind", "status", "verdict"),
    [
        (FailureKind.AUTHENTICATION, 401, ROTATE),
        (FailureKind.PERMISSION, 403, ROTATE),
        (FailureKind.RATE_LIMIT, 429, RETRY),
        (FailureKind.QUOTA, 429, ROTATE),
        (FailureKind.QUOTA, 402, ROTATE),
        (FailureKind.TIMEOUT, 0, RETRY),
        (FailureKind.TIMEOUT, 408, RETRY),
        (FailureKind.CONNECTION, 0, RETRY),
        (FailureKind.SERVER, 500, RETRY),
        (FailureKind.SERVER, 503, RETRY),
        (FailureKind.SERVER, 400, RETRY),
        (FailureKind.SERVER, 520, RETRY),
        (FailureKind.SERVER, 529, RETRY),
        (FailureKind.BAD_ANSWER, 200, RETRY),
        (FailureKind.BAD_ANSWER, 302, RETRY),
        (FailureKind.STREAM_CUT, 0, RETRY),
        (FailureKind.UNSUPPORTED, 400, ROTATE),
        (FailureKind.CONTEXT_LENGTH, 413, ROTATE),
        (FailureKind.MODEL_NOT_FOUND, 404, ROTATE),
        (FailureKind.INVALID_REQUEST, 400, FATAL),
        (FailureKind.INVALID_REQUEST, 422, FATAL),
        (FailureKind.CANCELLED, 0, FATAL),
    ],
)
def test_the_kind_decides_where_nothing_else_is_configured(kind: FailureKind, status: int, verdict: Verdict) -> None:
    assert verdict_on(failure(kind, status), RetryPolicy(), PROVIDER) is verdict


def provider(retryable: set[int] | None = None, final: set[int] | None = None) -> ProviderSpec:
    return ProviderSpec(
        "p",
        "x",
        retryable_codes=RETRYABLE_CODES if retryable is None else frozenset(retryable),
        non_retryable_codes=NON_RETRYABLE_CODES if final is None else frozenset(final),
    )


def policy(retryable: set[int] | None = None, final: set[int] | None = None) -> RetryPolicy:
    return RetryPolicy(
        retryable_codes=None if retryable is None else frozenset(retryable),
        non_retryable_codes=None if final is None else frozenset(final),
    )


@pytest.mark.parametrize(
    ("status", "configured", "its_provider", "verdict"),
    [
        (503, policy(), provider(final={503}, retryable={500}), ROTATE),
        (500, policy(), provider(retryable={503}), ROTATE),  # taken off the list on purpose
        (520, policy(), provider(retryable={503}), RETRY),  # in no list: the kind
        (520, policy(retryable={520}), provider(), RETRY),
        (500, policy(retryable={503}), provider(), ROTATE),
        (503, policy(retryable={503}), provider(final={503}), RETRY),
        (500, policy(final={500}), provider(), ROTATE),
        (502, policy(final={500}), provider(), RETRY),
        (500, policy(retryable={500}, final={500}), provider(), RETRY),
        (520, policy(final={520}), provider(retryable={520}), ROTATE),
        (500, policy(retryable=set()), provider(), ROTATE),
    ],
)
def test_configured_codes_decide_the_pools_before_its_providers(
    status: int, configured: RetryPolicy, its_provider: ProviderSpec, verdict: Verdict
) -> None:
    assert verdict_on(failure(SERVER, status), configured, its_provider) is verdict


@given(some.sampled_from(FailureKind), some.sets(some.sampled_from([400, 401, 404, 429, 500])), some.booleans())
def test_codes_never_have_a_wrong_request_sent_twice(kind: FailureKind, codes: set[int], of_pool: bool) -> None:
    configured = policy(retryable=codes) if of_pool else policy()
    verdict = verdict_on(failure(kind), configured, provider() if of_pool else provider(retryable=codes))
    if kind in (FailureKind.INVALID_REQUEST, FailureKind.CANCELLED):
        assert verdict is FATAL
    else:
        assert verdict is not FATAL
    if kind in (FailureKind.QUOTA, FailureKind.AUTHENTICATION, FailureKind.CONTEXT_LENGTH):
        assert verdict is ROTATE


# -- delays --------------------------------------------------------------------------------------------


def wait(attempt: int = 1, random: float = 0.0, retry_after: float | None = None, **policy: object) -> float:
    return delay(failure(LIMIT, retry_after=retry_after), RetryPolicy(**policy), attempt, lambda: random)


@pytest.mark.parametrize(("attempt", "ceiling"), [(1, 0.5), (2, 1.0), (3, 2.0), (5, 8.0), (6, 10.0), (5000, 10.0)])
def test_exponential_jitter_doubles_up_to_the_longest_and_draws_from_the_upper_half(
    attempt: int, ceiling: float
) -> None:
    assert wait(attempt, 0.0) == ceiling / 2
    assert wait(attempt, 0.5) == ceiling * 0.75
    assert wait(attempt, 0.999999) == pytest.approx(ceiling, rel=1e-5)


def test_a_fixed_delay_is_always_the_same() -> None:
    assert [wait(attempt, backoff="fixed", initial_delay=3.0) for attempt in (1, 2, 9)] == [3.0] * 3
    assert wait(backoff="fixed", initial_delay=30.0) == 10.0


def test_retry_after_alone_waits_as_told_or_as_long_as_the_first_delay() -> None:
    assert wait(backoff="retry_after", retry_after=7.0) == 7.0
    assert wait(backoff="retry_after", retry_after=0.0) == 0.0
    assert wait(backoff="retry_after") == 0.5
    assert wait(backoff="retry_after", initial_delay=60.0) == 10.0


@pytest.mark.parametrize("backoff", ["fixed", "exponential_jitter"])
def test_retry_after_is_the_least_delay_however_long(backoff: str) -> None:
    assert wait(backoff=backoff, retry_after=90.0) == 90.0
    assert wait(backoff=backoff, retry_after=0.001) >= 0.25


@pytest.mark.parametrize("backoff", ["fixed", "exponential_jitter", "retry_after"])
def test_retry_after_can_be_ignored_and_then_is_no_hurry_either(backoff: str) -> None:
    assert 0.25 <= wait(backoff=backoff, retry_after=90.0, honor_retry_after=False) <= 0.5


@given(
    some.integers(1, 10**6),
    some.floats(0, 1, exclude_max=True),
    some.floats(0, 100),
    some.floats(0, 100),
    some.sampled_from(["fixed", "exponential_jitter", "retry_after"]),
    some.none() | some.floats(0, 10**6),
)
def test_a_delay_lies_within_its_bounds(
    attempt: int, random: float, initial: float, longest: float, backoff: str, told: float | None
) -> None:
    found = wait(attempt, random, told, backoff=backoff, initial_delay=initial, max_delay=longest)
    assert (told or 0.0) <= found <= max(longest, told or 0.0)
