"""Whether somebody may be asked: a provider, a model, a member of a pool, or the keys of a provider.

Owns: the record `Availability`.
Must never: decide by it (`recovery.py`), read a clock or do I/O.
"""

from __future__ import annotations

from dataclasses import dataclass

INDEFINITELY = float("inf")

FIRST_RETRY, LONGEST_RETRY = 0.5, 2.0
"""Seconds between the tests of a model that is the last one standing: doubled from the first up to the longest."""
LONGEST_KEPT = 60.0
"""Seconds of a `Retry-After` that the last one standing is left alone for. A longer one is told, and it is asked as if
there were none: so do clients by themselves."""


@dataclass(slots=True)
class Availability:
    """Active, or on standby until a time and then on probation until one request succeeds.

    probation: False: it did not fail, and is active again when the time comes, untested.
    relapses: how often it went to standby without staying well in between; the cooldown doubles with each.
    tester: the request that is testing it now, when no other may. cause: the FailureKind or rule behind `reason`.
    standby_events, quota_resets, downtime (s, up to the last recovery): of all its life.
    """

    standby: bool = False
    until: float = 0.0
    since: float = 0.0
    reason: str = ""
    cause: str = ""
    probation: bool = True
    relapses: int = 0
    recovered_at: float = 0.0
    standby_events: int = 0
    quota_resets: int = 0
    downtime: float = 0.0
    tester: object | None = None
    retry_at: float = 0.0  # when it is tried again where no other model can answer
    tries: int = 0  # of these that failed
    tested_at: float = INDEFINITELY  # since when `tester` does
    failed_since: float = -INDEFINITELY  # when the last test that failed had begun

    def down_for(self, now: float) -> float:
        """Seconds of standby in all its life, the present one among them."""
        if not self.standby:
            return self.downtime
        end = now if self.probation else min(now, self.until)
        return self.downtime + max(end - self.since, 0.0)
