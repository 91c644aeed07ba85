"""What a failure means for the request: try again, try elsewhere, or give up.

Owns: the classification of failures and the delays between attempts.
Must never: touch state (`deactivation.py`) or sleep; it says how long, and somebody else waits.

Rule: spec/routing.md, Retry.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

from meshd.cdk.provider import FailureKind, ProviderFailure
from meshd.routing.table import ProviderSpec, RetryPolicy


class Verdict(enum.Enum):
    RETRY = "retry"  # the same model may well succeed
    ROTATE = "rotate"  # not this model, but another may
    FATAL = "fatal"  # the request itself is wrong, or nobody wants it any more


_TRANSIENT = frozenset(
    {
        FailureKind.RATE_LIMIT,
        FailureKind.TIMEOUT,
        FailureKind.CONNECTION,
        FailureKind.SERVER,
        FailureKind.BAD_ANSWER,
        FailureKind.STREAM_CUT,
    }
)
_FATAL = frozenset({FailureKind.INVALID_REQUEST, FailureKind.CANCELLED})
_ELSEWHERE = frozenset(
    {
        FailureKind.UNSUPPORTED,
        FailureKind.CONTEXT_LENGTH,
        FailureKind.MODEL_NOT_FOUND,
        FailureKind.AUTHENTICATION,
        FailureKind.PERMISSION,
        FailureKind.QUOTA,
    }
)


def classify(failure: ProviderFailure, policy: RetryPolicy, provider: ProviderSpec) -> Verdict:
    """The verdict on one failed attempt.

    The failure's kind decides; configured codes override it for the statuses they list, except that a request
    which is wrong for every model is never sent twice.
    """
    if failure.kind in _FATAL:
        return Verdict.FATAL
    if failure.kind in _ELSEWHERE:
        return Verdict.ROTATE
    if failure.status >= 400:
        retryable = provider.retryable_codes if policy.retryable_codes is None else policy.retryable_codes
        final = provider.non_retryable_codes if policy.non_retryable_codes is None else policy.non_retryable_codes
        if failure.status in retryable:
            return Verdict.RETRY
        if failure.status in final:
            return Verdict.ROTATE
    return Verdict.RETRY if failure.kind in _TRANSIENT else Verdict.ROTATE


def delay(failure: ProviderFailure, policy: RetryPolicy, attempt: int, random: Callable[[], float]) -> float:
    """Seconds to wait before attempt number `attempt + 1` at the same model. `random()` is uniform in [0, 1).

    `exponential_jitter` draws from the upper half of the doubled delay: never at once, never all together.
    A provider's own Retry-After is honoured as a least delay, however long; the caller looks elsewhere meanwhile.
    """
    if policy.backoff == "exponential_jitter":
        ceiling = min(policy.initial_delay * 2.0 ** min(attempt - 1, 32), policy.max_delay)
        backoff = ceiling * (0.5 + random() / 2)
    elif policy.backoff == "fixed":
        backoff = min(policy.initial_delay, policy.max_delay)
    else:
        backoff = policy.initial_delay if failure.retry_after is None else 0.0
    if policy.honor_retry_after and failure.retry_after is not None:
        return max(backoff, failure.retry_after)
    return backoff
