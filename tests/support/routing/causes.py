"""Why something rests or is back, for tests that do not care about the details."""

from __future__ import annotations

from meshd.core.events.cause import Cause, Why, cause_of
from meshd.sdk.provider import FailureKind

BACK = Why(Cause.REQUEST_SUCCEEDED)
USED_UP = Why(Cause.LIMIT_USED_UP)
HELD = Why(Cause.HELD, provider="p")
PROBE_FAILED = Why(Cause.PROBE_FAILED, said="refused")


def because(text: str, kind: FailureKind = FailureKind.SERVER) -> Why:
    """A failure of this kind, in these words."""
    return Why(cause_of(kind), kind, text=text)


def resting(text: str) -> Why:
    """In these words, for nothing that asking again may cure."""
    return Why(Cause.HELD, text=text)
