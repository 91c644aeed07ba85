"""Why a model, a member of a pool, a provider or a key was set aside, or came back.

Owns: the causes and the details of each. Code decides by these; people read the text made from them
(`routing/words.py`), which no code parses.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from meshd.sdk.calls.failure import FailureKind


class Cause(enum.StrEnum):
    """The values are stored and sent, so none may change its meaning."""

    # set aside
    FAILURES = "failures"  # `count` in a row
    FAILURE_RATE = "failure_rate"  # `count` of the last `of` requests failed, `within` seconds
    OVERDUE = "overdue"  # `count` requests in a row reached their own deadlines
    TEST_FAILED = "test_failed"  # the request that tested it on probation failed
    PROBE_FAILED = "probe_failed"  # without a `kind`: of the health monitor
    UNREACHABLE = "unreachable"
    MODELS_FAILING = "models_failing"  # `count` of the provider's models
    MODELS_FORBIDDEN = "models_forbidden"  # `count` of the provider's models
    MODEL_NOT_FOUND = "model_not_found"
    NOT_LISTED = "not_listed"
    KEY_REFUSED = "key_refused"
    KEYS_REFUSED = "keys_refused"  # all of them
    KEY_MISSING = "key_missing"
    RATE_LIMITED = "rate_limited"
    QUOTA_USED_UP = "quota_used_up"  # a request was refused; `count` of the provider's models, 0: of one model
    QUOTA_REPORTED = "quota_reported"  # the provider's report says that it is used up
    LIMIT_USED_UP = "limit_used_up"  # `limit`, by our own count
    LIMIT_TOO_LOW = "limit_too_low"  # what is left of `limit` is not enough for any request
    HELD = "held"  # `provider` failed for the cause `behind`, and the pool waits for an operator
    # either
    OPERATOR = "operator"
    # came back
    REQUEST_SUCCEEDED = "request_succeeded"
    PROBE_ANSWERED = "probe_answered"
    QUOTA_RESET = "quota_reset"  # or another limit
    QUOTA_AVAILABLE = "quota_available"  # by the provider's report
    LISTED_AGAIN = "listed_again"
    RECONFIGURED = "reconfigured"


RESETS = frozenset({Cause.QUOTA_RESET, Cause.QUOTA_AVAILABLE})
"""Causes for which a model with a used-up quota may be asked again."""

_BY_KIND = {
    FailureKind.AUTHENTICATION: Cause.KEY_REFUSED,
    FailureKind.PERMISSION: Cause.KEY_REFUSED,
    FailureKind.RATE_LIMIT: Cause.RATE_LIMITED,
    FailureKind.QUOTA: Cause.QUOTA_USED_UP,
    FailureKind.MODEL_NOT_FOUND: Cause.MODEL_NOT_FOUND,
    FailureKind.CONNECTION: Cause.UNREACHABLE,
}


def cause_of(kind: FailureKind) -> Cause:
    """The cause for a single failure of this kind."""
    return _BY_KIND.get(kind, Cause.FAILURES)


class UsedLimit(msgspec.Struct, frozen=True, gc=False):
    """amount: in the units of the measure; cost in 10⁻⁹ USD."""

    amount: int
    measure: Literal["requests", "tokens", "cost"]
    window: Literal["day", "month", "rolling", "stint"]


class Why(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A cause with its details; each cause's comment names those that it has.

    kind, said, status: of the failure behind it, the last if there were several: what it was, the provider's own words
    and its HTTP code. text: the words of an earlier version, which kept no details.
    """

    cause: Cause
    kind: FailureKind | None = None
    said: str = ""
    status: int = 0
    count: int = 0
    of: int = 0
    within: float = 0.0
    limit: UsedLimit | None = None
    provider: str = ""
    behind: Why | None = None
    text: str = ""


BY_HAND = Why(Cause.OPERATOR)


def dump_why(why: Why | None) -> dict[str, Any] | None:
    found: dict[str, Any] | None = msgspec.to_builtins(why)
    return found


def load_why(saved: Mapping[str, Any]) -> Why | None:
    """The cause in a saved standby. Earlier versions wrote `reason`, a text, and `cause`, mostly a kind of failure."""
    try:
        if saved.get("why") is not None:
            return msgspec.convert(saved["why"], Why)
    except msgspec.ValidationError:
        return None
    cause, text = saved.get("cause"), str(saved.get("reason") or "")
    kind = failure_kind(cause)
    if kind is not None:
        return Why(cause_of(kind), kind, text=text)
    return Why(_EARLIER[cause], text=text) if isinstance(cause, str) and cause in _EARLIER else None


_EARLIER = {"used_up": Cause.LIMIT_USED_UP, "provider": Cause.HELD, "probe": Cause.PROBE_FAILED}


def failure_kind(value: Any) -> FailureKind | None:
    """A kind of failure by its saved name; None for anything else."""
    return FailureKind(value) if isinstance(value, str) and value in _KINDS else None


_KINDS = frozenset(FailureKind)
