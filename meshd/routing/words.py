"""Why something was set aside or came back, in words for people.

Owns: the wording of every cause. Must never: be read back; `Why` has the details.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from meshd.core.events.cause import Cause, UsedLimit, Why
from meshd.core.money import dollars
from meshd.core.text.durations import format_duration


def words(why: Why) -> str:
    """A clause without a full stop."""
    return why.text or _WORDS[why.cause](why)


def without_words(why: Why) -> str:
    """The same without a provider's words, which may repeat another's request or a key. An operator's are for all."""
    if why.cause is Cause.OPERATOR:
        return words(why)
    behind = None if why.behind is None else msgspec.structs.replace(why.behind, said="", text="")
    return words(msgspec.structs.replace(why, said="", text="", behind=behind))


def _last(why: Why) -> str:
    return f", the last: {why.said}" if why.said else ""


def _said(what: str) -> Callable[[Why], str]:
    return lambda why: f"{what}: {why.said}" if why.said else what


def _only(what: str) -> Callable[[Why], str]:
    return lambda why: what


def _held(why: Why) -> str:
    behind = f": {words(why.behind)}" if why.behind is not None else ""
    return f"provider {why.provider} failed, and an operator has to bring it back{behind}"


_PER = {"day": "of the day", "month": "of the month", "rolling": "in 24 hours", "stint": "since it came back"}


def _limit(limit: UsedLimit | None) -> str:
    if limit is None:
        return "what it may use"
    if limit.measure == "cost":
        amount = f"{dollars(limit.amount):g} USD"
    else:
        amount = f"{limit.amount} {limit.measure if limit.amount != 1 else limit.measure.removesuffix('s')}"
    return f"{amount} {_PER[limit.window]}"


_WORDS: dict[Cause, Callable[[Why], str]] = {
    Cause.FAILURES: lambda why: f"{why.count} failures in a row{_last(why)}",
    Cause.FAILURE_RATE: lambda why: (
        f"{why.count} of its last {why.of} requests failed within {format_duration(why.within)}{_last(why)}"
    ),
    Cause.OVERDUE: lambda why: f"{why.count} requests in a row had no answer from it within their own deadlines",
    Cause.TEST_FAILED: lambda why: why.said or "the request that tested it failed",
    Cause.PROBE_FAILED: _said("it does not answer probes"),
    Cause.UNREACHABLE: _said("it cannot be reached"),
    Cause.MODELS_FAILING: lambda why: _said(f"{why.count} of its models fail")(why),
    Cause.MODELS_FORBIDDEN: lambda why: _said(f"{why.count} of its models are forbidden")(why),
    Cause.MODEL_NOT_FOUND: lambda why: why.said or "its provider does not know it",
    Cause.NOT_LISTED: _only("its provider no longer lists it"),
    Cause.KEY_REFUSED: _said("its key is refused"),
    Cause.KEYS_REFUSED: _said("all of its keys are refused"),
    Cause.KEY_MISSING: _said("it needs a key and has none"),
    Cause.RATE_LIMITED: _said("it asked us to pause"),
    Cause.QUOTA_USED_UP: lambda why: _said("its quota is used up")(why) if why.count or not why.said else why.said,
    Cause.QUOTA_REPORTED: _only("it reports its quota used up"),
    Cause.LIMIT_USED_UP: lambda why: f"it has used up {_limit(why.limit)}",
    Cause.LIMIT_TOO_LOW: lambda why: f"too little is left of its {_limit(why.limit)}",
    Cause.HELD: _held,
    Cause.OPERATOR: _said("by hand"),
    Cause.REQUEST_SUCCEEDED: _only("a request succeeded"),
    Cause.PROBE_ANSWERED: _only("it answered a probe"),
    Cause.QUOTA_RESET: _only("its limit was reset"),
    Cause.QUOTA_AVAILABLE: _only("it reports quota available again"),
    Cause.LISTED_AGAIN: _only("its provider lists it"),
    Cause.RECONFIGURED: _only("its configuration changed"),
}
