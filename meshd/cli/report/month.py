"""The content of a report: a month, and what the daemon says about it.

Owns: the questions. Must never: add up requests of different groups, since only the daemon can tell requests from
attempts. It only adds up figures of the same group.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from meshd.cli import daemon

BREAKDOWNS = ("project", "app", "user", "agent", "model", "pool", "session", "label")
_WRITTEN = re.compile(r"([1-9][0-9]{3})-(0[1-9]|1[0-2])")
_MARGIN = 1.0  # s: the daemon's clock is read later than ours, and a day that only touches the month does not count

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Month:
    """begin, end: UTC; the end is the beginning of the next month."""

    begin: datetime
    end: datetime

    @classmethod
    def named(cls, text: str, now: datetime) -> Month:
        """`2026-11`, `this` or `last`. Raises ValueError."""
        begin = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        if text == "last":
            begin = (begin - timedelta(days=1)).replace(day=1)
        elif text != "this":
            written = _WRITTEN.fullmatch(text)
            if written is None:
                raise ValueError(f"{text!r} is not a month; write 2026-11, this or last")
            begin = datetime(int(written[1]), int(written[2]), 1, tzinfo=UTC)
        if begin > now:
            raise ValueError(f"{text} is in the future")
        return cls(begin, (begin + timedelta(days=32)).replace(day=1))

    @property
    def name(self) -> str:
        return self.begin.strftime("%Y-%m")

    @property
    def title(self) -> str:
        return self.begin.strftime("%B %Y")

    def days(self) -> list[str]:
        count = (self.end - self.begin).days
        return [(self.begin + timedelta(days=day)).strftime("%Y-%m-%d") for day in range(count)]


@dataclass(frozen=True, slots=True)
class Figures:
    """total: of all requests. days: by day, without those on which nothing happened. by: dimension → its rows, the most
    costly first. budgets: as they are now; None for an earlier month."""

    month: Month
    until: datetime
    total: Row = field(default_factory=dict)
    days: dict[str, Row] = field(default_factory=dict)
    by: dict[str, list[Row]] = field(default_factory=dict)
    budgets: list[Row] | None = None


def figures(month: Month) -> Figures:
    """Asks the daemon."""
    now = time.time()
    back = {
        "since": now - month.begin.timestamp() - _MARGIN,
        "until": max(now - month.end.timestamp() + _MARGIN, 0.0),
    }

    def rows(by: str) -> list[Row]:
        return list(daemon.ask("spend", by=by, **back).get("data") or [])

    days = {str(row.get("name")): row for row in rows("day")}
    by = {name: sorted(rows(name), key=_costs, reverse=True) for name in BREAKDOWNS}
    is_running = month.end.timestamp() > now
    budgets = list(daemon.ask("budget").get("data") or []) if is_running else None
    until = datetime.fromtimestamp(min(now, month.end.timestamp()), UTC)
    return Figures(month, until, _sum(days.values()), days, by, budgets)


def money(row: Row) -> float:
    """USD."""
    return float(row.get("cost_total") or 0)


def outside(row: Row) -> float:
    """USD that agents report for what they used elsewhere."""
    return float(row.get("outside_cost") or 0)


def _costs(row: Row) -> tuple[float, int]:
    return money(row) + outside(row), int(row.get("requests_total") or 0)


_SUMMED = (
    "requests_total", "requests_failed", "requests_saved", "tokens_in", "tokens_out", "tokens_cached", "cost_total",
    "cache_hits", "outside_requests", "outside_tokens_in", "outside_tokens_out", "outside_tokens_cached",
    "outside_cost",
)  # fmt: skip


def _sum(rows: Any) -> Row:
    """The sum over days; every request counts once, on its day."""
    found = list(rows)
    return {name: sum(row.get(name) or 0 for row in found) for name in _SUMMED}
