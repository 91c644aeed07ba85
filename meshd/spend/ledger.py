"""The ledger: the journal's sums by day, scope and name.

Owns: sums of usage, unsettled attempts, and ids of requests that an earlier run left open.
Must never: touch a file or a clock. Spend may be over-counted by a crash, never under-counted.

An attempt counts on the day it began, in the router's time zone, whenever it is settled. One that is never settled
counts as all that it had reserved: when the router's run is over (`bury`), or a minute after its deadline (`expire`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from meshd.core.member_key import member_key
from meshd.spend.records import Begin, Settle, Usage

BEGUN_KEPT = 3600.0  # s for which an id of an earlier run is remembered: longer than an app would resend it
GRACE = 60.0  # s after the deadline of an attempt
MOST_APPS = 5000
OTHERS = "(others)"
"""Apps name themselves. Beyond this many names the router counts apps together, except those with a limit."""
MOST_NAMES = 2 * MOST_APPS
"""Apps per day in the ledger: more than a router reports, so that one with a limit is always counted separately."""
DAYS_KEPT = 62  # in memory: this month and the last


UsageKey = tuple[str, str, str]
"""day (YYYY-MM-DD), scope, name. A member's name is its `member_key`."""


Kind = tuple[str, str, str, str, str]
"""day, provider, model, pool, app: attempts with the same count in the same sums."""


def usage_id(key: UsageKey) -> str:
    """The key as one string, for tables; the inverse of `usage_key`."""
    return "\0".join(key)


def usage_key(id: str) -> UsageKey:
    """The key of a table's id; names may hold a NUL, days and scopes do not. Raises ValueError."""
    parts = id.split("\0", 2)
    if len(parts) != 3:
        raise ValueError(f"not a day, a scope and a name: {id!r}")
    return parts[0], parts[1], parts[2]


def usage_rows(table: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, str, int, int, int]]:
    """The restored table "usage" as `Accounts.restore` takes it: (day, scope, name, requests, tokens, cost).

    Raises ValueError for an invalid id.
    """
    for id, sums in table.items():
        tokens = int(sums.get("tokens_in", 0)) + int(sums.get("tokens_out", 0))
        yield (*usage_key(id), int(sums.get("requests", 0)), tokens, int(sums.get("cost", 0)))


class Ledger:
    """changed: the keys of usage that differ from what was last written; the keeper clears it."""

    def __init__(self) -> None:
        self.usage: dict[UsageKey, Usage] = {}
        self.open: dict[tuple[bytes, int], Begin] = {}
        self.begun: dict[bytes, float] = {}
        self.changed: set[UsageKey] = set()
        self._apps: dict[str, int] = {}  # day → names of apps

    def apply(self, records: Iterable[Begin | Settle]) -> None:
        """Attempts of one kind are summed first: each sum counts in five scopes."""
        sums: dict[Kind, Usage] = {}
        for record in records:
            if isinstance(record, Begin):
                self.open[record.request, record.attempt] = record
                continue
            begin = self.open.pop((record.request, record.attempt), None)
            if begin is None:  # it is counted already
                continue
            kind = _kind_of(begin)
            total = sums.get(kind)
            if total is None:
                total = sums[kind] = Usage()
            _add(total, int(record.sent), record)
        for kind, used in sums.items():
            self._count(kind, used)

    def bury(self, now: float) -> None:
        """Call it when the run that began the open attempts is over: they count as spent, and their ids are not
        accepted again."""
        for begin in self.open.values():
            self._spend(begin, now)
        self.open.clear()
        self._forget(now)

    def expire(self, now: float) -> bool:
        """Count overdue attempts as spent. Returns whether there were any."""
        late = [key for key, begin in self.open.items() if begin.deadline + GRACE < now]
        for key in late:
            self._spend(self.open.pop(key), now)
        self._forget(now)
        return bool(late)

    def forget_days(self, now: float) -> None:
        """Drop from memory the days that no budget needs; stored ones stay."""
        oldest = day_of(now - DAYS_KEPT * 86400)
        for key in [key for key in self.usage if key[0] < oldest and key not in self.changed]:
            del self.usage[key]
        self._apps = {day: count for day, count in self._apps.items() if day >= oldest}

    def add(self, key: UsageKey, usage: Usage) -> None:
        """Add usage counted elsewhere: a stored row, an import."""
        _add(self._of(key), usage.requests, usage)

    def _spend(self, begin: Begin, now: float) -> None:
        self._count(_kind_of(begin), Usage(1, begin.tokens_in, begin.tokens_out, 0, begin.reserved, begin.units))
        self.begun[begin.request] = now

    def _forget(self, now: float) -> None:
        for request in [request for request, at in self.begun.items() if at < now - BEGUN_KEPT]:
            del self.begun[request]

    def _count(self, kind: Kind, used: Usage) -> None:
        day, provider, model, pool, app = kind
        for scope, name in (
            ("provider", provider),
            ("model", model),
            ("pool", pool),
            ("member", member_key(pool, model) if pool else ""),
            ("app", app),
        ):
            if not name:
                continue
            key = (day, scope, name)
            if scope == "app" and key not in self.usage and self._apps.get(day, 0) >= MOST_NAMES:
                key = (day, scope, OTHERS)
            self.add(key, used)
            self.changed.add(key)

    def _of(self, key: UsageKey) -> Usage:
        total = self.usage.get(key)
        if total is None:
            total = self.usage[key] = Usage()
            if key[1] == "app":
                self._apps[key[0]] = self._apps.get(key[0], 0) + 1
        return total


def _kind_of(begin: Begin) -> Kind:
    return begin.day or day_of(begin.at), begin.provider, begin.model, begin.pool, begin.app


_MOST = 2**62
"""The limit of every sum: stored values have to fit into 64 bits."""


def _summed(total: int, more: int) -> int:
    """A negative report, which an older version may have stored, subtracts nothing."""
    return min(total + max(more, 0), _MOST)


def _add(total: Usage, requests: int, used: Usage | Settle) -> None:
    total.requests = _summed(total.requests, requests)
    total.tokens_in = _summed(total.tokens_in, used.tokens_in)
    total.tokens_out = _summed(total.tokens_out, used.tokens_out)
    total.tokens_cached = _summed(total.tokens_cached, used.tokens_cached)
    total.cost = _summed(total.cost, used.cost)
    for name, count in used.units.items():
        total.units[name] = _summed(total.units.get(name, 0), count)


_days: dict[int, str] = {}


def day_of(at: float) -> str:
    """The UTC day of a time, as YYYY-MM-DD."""
    number = int(at // 86400)
    day = _days.get(number)
    if day is None:
        _days.clear()
        day = _days[number] = time.strftime("%Y-%m-%d", time.gmtime(at))
    return day
