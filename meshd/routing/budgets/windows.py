"""What one scope has used and reserved in each of its windows.

Owns: the sums of days, months, the last 24 hours and a stint. Must never: know a limit, read a clock or do I/O.

A reservation keeps its sums and changes them in place: it settles where it was made, whichever windows are current by
then.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from meshd.routing.table.specs import Measure, Window
from meshd.spend.calendar import Period

REQUESTS: Final = 0
TOKENS: Final = 1
COST: Final = 2
MEASURES: dict[Measure, int] = {"requests": REQUESTS, "tokens": TOKENS, "cost": COST}

ROLLING: Final = 86400.0  # s
BUCKET: Final = 60.0  # s of a rolling window that expire together
_DAYS_KEPT = 3
_MONTHS_KEPT = 2


def _nothing() -> list[int]:
    return [0, 0, 0]


@dataclass(slots=True, eq=False)
class Sums:
    """Requests, tokens and 10⁻⁹ USD, by the indexes above. taken: used or reserved; used: settled."""

    taken: list[int] = field(default_factory=_nothing)
    used: list[int] = field(default_factory=_nothing)

    def reserve(self, tokens: int, cost: int) -> None:
        """For one request."""
        taken = self.taken
        taken[REQUESTS] += 1
        taken[TOKENS] += tokens
        taken[COST] += cost

    def merge(self, other: Sums) -> None:
        for measure in (REQUESTS, TOKENS, COST):
            self.taken[measure] += other.taken[measure]
            self.used[measure] += other.used[measure]

    def add(self, requests: int, tokens: int, cost: int) -> None:
        """Count what was used without a reservation."""
        self.settle(requests, tokens, cost, (requests, tokens, cost))

    def settle(self, requests: int, tokens: int, cost: int, more: tuple[int, int, int]) -> None:
        """Count what was used. more: the excess over what was reserved, for each measure."""
        taken, used = self.taken, self.used
        taken[REQUESTS] += more[REQUESTS]
        taken[TOKENS] += more[TOKENS]
        taken[COST] += more[COST]
        used[REQUESTS] += requests
        used[TOKENS] += tokens
        used[COST] += cost


@dataclass(slots=True, eq=False)
class Bucket(Sums):
    """A minute's. until: when it leaves its window (UTC s). live: it has not left yet."""

    until: float = 0.0
    live: bool = True


class Rolling:
    """The last 24 hours, in buckets of a minute: a use expires up to a minute late, never early."""

    __slots__ = ("buckets", "total")

    def __init__(self) -> None:
        self.total = Sums()
        self.buckets: deque[Bucket] = deque()

    def advance(self, now: float) -> None:
        """Drop what is too old. Buckets in the future, after a clock was set back, count for another day."""
        latest = (now // BUCKET + 1) * BUCKET + ROLLING
        if self.buckets and self.buckets[-1].until > latest:
            for each in self.buckets:
                each.until = min(each.until, latest)
        while self.buckets and self.buckets[0].until <= now:
            gone = self.buckets.popleft()
            gone.live = False
            for measure in (REQUESTS, TOKENS, COST):
                self.total.taken[measure] -= gone.taken[measure]
                self.total.used[measure] -= gone.used[measure]

    def bucket(self, now: float) -> Bucket:
        """The one that counts now."""
        self.advance(now)
        until = (now // BUCKET + 1) * BUCKET + ROLLING
        if not self.buckets or self.buckets[-1].until < until:
            self.buckets.append(Bucket(until=until))
        return self.buckets[-1]

    def reserve(self, tokens: int, cost: int, now: float) -> Bucket:
        """The bucket to settle it in."""
        bucket = self.bucket(now)
        bucket.reserve(tokens, cost)
        self.total.reserve(tokens, cost)
        return bucket

    def settle(self, bucket: Bucket, requests: int, tokens: int, cost: int, more: tuple[int, int, int]) -> None:
        """As in any sums; a bucket that has left is not read again."""
        if bucket.live:
            bucket.settle(requests, tokens, cost, more)
            self.total.settle(requests, tokens, cost, more)

    def presume(self, used: Sums, at: float) -> None:
        """Count what was used before `at` as used at `at`. Call in order of time."""
        if any(used.taken):
            self.bucket(at).add(*used.taken)
            self.total.add(*used.taken)

    def frees_at(self, measure: int, amount: int) -> float | None:
        """When `amount` of it will have expired (UTC s); None if there is less."""
        for bucket in self.buckets:
            amount -= bucket.taken[measure]
            if amount <= 0:
                return bucket.until
        return None


class Meter:
    """All windows of one scope.

    Days and months are kept by name, the last few of each, so that a clock that jumps and comes back finds what was
    counted. rolling, stint: None if they are not counted.
    """

    __slots__ = ("days", "months", "name", "rolling", "scope", "stint")

    def __init__(self, scope: str, name: str) -> None:
        self.scope = scope
        self.name = name
        self.days: dict[str, Sums] = {}
        self.months: dict[str, Sums] = {}
        self.rolling: Rolling | None = None
        self.stint: Sums | None = None

    def day(self, day: str) -> Sums:
        return _named(self.days, day)

    def month(self, month: str) -> Sums:
        return _named(self.months, month)

    def begin_rolling(self, period: Period, now: float) -> None:
        """Count the last 24 hours from now on. The hours of earlier uses are unknown: yesterday's count as used at its
        end and today's as used now, which is never too low."""
        self.rolling = Rolling()
        for day, at in ((period.yesterday, period.start - 1), (period.day, now)):
            if day in self.days:
                self.rolling.presume(self.days[day], at)
        self.rolling.advance(now)

    def window(self, window: Window, period: Period) -> Sums | None:
        """The current sums; None if nothing was counted."""
        if window == "day":
            return self.days.get(period.day)
        if window == "month":
            return self.months.get(period.month)
        if window == "rolling":
            return self.rolling.total if self.rolling is not None else None
        return self.stint

    def bounded(self, window: Window, period: Period) -> Sums:
        """The current sums, created if missing: a limit watches them."""
        if window == "day":
            return self.day(period.day)
        if window == "month":
            return self.month(period.month)
        if window == "rolling":
            assert self.rolling is not None, "begin_rolling comes first"
            return self.rolling.total
        self.stint = self.stint or Sums()
        return self.stint

    def forget(self, period: Period) -> None:
        """Drop old windows; a reservation made in one keeps it alive for itself."""
        for windows, kept, current in ((self.days, _DAYS_KEPT, period.day), (self.months, _MONTHS_KEPT, period.month)):
            if len(windows) > kept:
                for name in sorted(windows)[:-kept]:
                    if name != current:
                        del windows[name]


def _named(windows: dict[str, Sums], name: str) -> Sums:
    found = windows.get(name)
    if found is None:
        found = windows[name] = Sums()
    return found
