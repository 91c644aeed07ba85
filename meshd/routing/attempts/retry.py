"""What a failure means for the request: try again, try elsewhere, or give up.

Owns: the classification of failures and the delays between attempts.
Must never: touch state (`routing/availability/consequences.py`) or sleep; it says how long, and the caller waits.

Rule: docs/routing.md, Failures.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

from meshd.routing.availability.recovery import REFUSING
from meshd.routing.table.policies import RetryPolicy
from meshd.routing.table.specs import NON_RETRYABLE_CODES, RETRYABLE_CODES, ProviderSpec
from meshd.sdk.provider import FailureKind, ProviderFailure


class Verdict(enum.Enum):
    RETRY = "retry"  # the same model may well succeed
    ROTATE = "rotate"  # not this model, but another may
    FATAL = "fatal"  # the request itself is wrong, or its app has disconnected


_FATAL = frozenset({FailureKind.INVALID_REQUEST, FailureKind.CANCELLED})
_ELSEWHERE = frozenset(
    {
        FailureKind.UNSUPPORTED,
        FailureKind.CONTEXT_LENGTH,
        FailureKind.MODEL_NOT_FOUND,
        FailureKind.AUTHENTICATION,
        FailureKind.PERMISSION,
        FailureKind.QUOTA,
        FailureKind.CONTENT_POLICY,
    }
)


def verdict_on(failure: ProviderFailure, policy: RetryPolicy, provider: ProviderSpec) -> Verdict:
    """The verdict on one failed attempt.

    The kind decides where asking again cannot help. Otherwise the configured codes decide, the pool's before its
    provider's; for a status in none of them the kind decides, unless it was removed from the retryable codes.
    """
    status = failure.status
    if failure.kind in _FATAL:
        return Verdict.FATAL
    if failure.kind in _ELSEWHERE:
        return Verdict.ROTATE
    if status >= 400:
        if policy.retryable_codes is not None and status in policy.retryable_codes:
            return Verdict.RETRY
        if policy.non_retryable_codes is not None and status in policy.non_retryable_codes:
            return Verdict.ROTATE
        if status == 400 and failure.kind is FailureKind.SERVER:  # its words say so, whatever the status
            return Verdict.RETRY
        if policy.retryable_codes is None and status in provider.retryable_codes:
            return Verdict.RETRY
        if status in provider.non_retryable_codes or status in RETRYABLE_CODES:
            return Verdict.ROTATE
    return Verdict.RETRY


_NO_ROUTE = frozenset({404, 405, 501, 505})


def is_refusal(failure: ProviderFailure) -> bool:
    """Whether it is a refusal that may change, and not because of the request itself or what the model cannot do."""
    if failure.kind is FailureKind.UNSUPPORTED:  # a missing path, as of a server that is being replaced
        return failure.status in _NO_ROUTE and not failure.refused
    return failure.kind in REFUSING


def asks_for_another(status: int) -> bool:
    """Whether a status means by itself that the same request may succeed later."""
    return status == 429 or status >= 500


def is_final(failure: ProviderFailure, policy: RetryPolicy, provider: ProviderSpec) -> bool:
    """Whether the configuration says that this status does not change by asking again."""
    if policy.non_retryable_codes is not None:
        return failure.status in policy.non_retryable_codes
    return failure.status in provider.non_retryable_codes - NON_RETRYABLE_CODES


def delay(failure: ProviderFailure, policy: RetryPolicy, attempt: int, random: Callable[[], float]) -> float:
    """Seconds to wait before attempt number `attempt + 1` at the same model. `random()` is uniform in [0, 1).

    `exponential_jitter` draws from the upper half of the doubled delay: never immediate, never synchronised. A
    provider's own Retry-After is a minimum, however long; until then the caller tries other models.
    """
    if policy.backoff == "exponential_jitter":
        ceiling = min(policy.initial_delay * 2.0 ** min(attempt - 1, 32), policy.max_delay)
        backoff = ceiling * (0.5 + random() / 2)
    elif policy.backoff == "fixed":
        backoff = min(policy.initial_delay, policy.max_delay)
    else:  # as the provider says, if it does
        said = policy.honor_retry_after and failure.retry_after is not None
        backoff = 0.0 if said else min(policy.initial_delay, policy.max_delay)
    if policy.honor_retry_after and failure.retry_after is not None:
        return max(backoff, failure.retry_after)
    return backoff
