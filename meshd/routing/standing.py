"""Whether a provider, a model, a member of a pool or a provider's keys may be asked.

Owns: the record `Availability`.
Must never: decide anything (`recovery.py`), read a clock or do I/O.
"""

from __future__ import annotations

from dataclasses import dataclass

from meshd.core.events.cause import Cause, Why
from meshd.routing.words import without_words, words
from meshd.sdk.provider import FailureKind

INDEFINITELY = float("inf")

FIRST_RETRY, LONGEST_RETRY = 0.5, 2.0
"""Seconds between the tests of a model that is the last one standing: doubled from the first up to the longest."""
LONGEST_KEPT = 60.0
"""Seconds: the longest `Retry-After` honoured for the last model standing. A longer one is reported, but the model is
asked as if there were none, as clients do by themselves."""


@dataclass(slots=True)
class Availability:
    """Active, or on standby until a time and then on probation until one request succeeds.

    probation: False: it did not fail, and is active again when the time comes, untested.
    relapses: how often it went to standby again without working for long enough in between; the cooldown doubles with
    each. tester: the request that is testing it now, when no other may. why: of its present standby. standby_events,
    quota_resets, downtime (s, up to the last recovery): since it exists.
    """

    standby: bool = False
    until: float = 0.0
    since: float = 0.0
    why: Why | None = None
    probation: bool = True
    relapses: int = 0
    recovered_at: float = 0.0
    standby_events: int = 0
    quota_resets: int = 0
    downtime: float = 0.0
    tester: object | None = None
    retry_at: float = 0.0  # when it is tried again if no other model can answer
    tries: int = 0  # such tries that failed
    tested_at: float = INDEFINITELY  # since when `tester` tests it
    failed_since: float = -INDEFINITELY  # when the last test that failed had begun

    @property
    def reason(self) -> str:
        """Why it is on standby, in words; "" if it is not."""
        return self.reason_for(operator=True)

    def reason_for(self, *, operator: bool) -> str:
        """operator: whether an operator reads it; others are not shown a provider's words."""
        if self.why is None:
            return ""
        return words(self.why) if operator else without_words(self.why)

    @property
    def cause(self) -> Cause | None:
        return None if self.why is None else self.why.cause

    @property
    def kind(self) -> FailureKind | None:
        """The kind of the failure behind its standby; None if there was none."""
        return None if self.why is None else self.why.kind

    def down_for(self, now: float) -> float:
        """Seconds of standby in total, including the present one."""
        if not self.standby:
            return self.downtime
        end = now if self.probation else min(now, self.until)
        return self.downtime + max(end - self.since, 0.0)
