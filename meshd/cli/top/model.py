"""What `meshctl top` shows, made from the daemon's answers: rates, series, tables, lines.

Owns: the arithmetic between two snapshots, and how a table is fitted to a width.
Must never: ask the daemon, or know of textual.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import dropwhile
from typing import Any

import msgspec

from meshd.cli.screen import output as out
from meshd.cli.show.usage import budget
from meshd.core.seconds import from_nanos
from meshd.host.plain_text import one_line

GOOD, BAD, WARN, FAINT = "good", "bad", "warn", "faint"
"""Tones of a cell. A tone only emphasises; the text says the same."""
_BLOCKS = "▁▂▃▄▅▆▇█"
KEPT = 240  # points of a rate, one for each second

Row = dict[str, Any]


class Snapshot(msgspec.Struct, frozen=True):
    """The daemon's answers at one moment. at: s, by a monotonic clock; clock: UTC s.

    apps, budgets: None if the daemon lacks that operation. totals: (scope, name) → all requests so far. minutes:
    statistics by the minute. recent: (scope, name) → statistics of the last 15 minutes.
    """

    at: float
    clock: float
    status: Row
    pools: Sequence[Row] = ()
    models: Sequence[Row] = ()
    apps: Sequence[Row] | None = None
    budgets: Sequence[Row] | None = None
    totals: Mapping[tuple[str, str], int] = {}
    minutes: Mapping[str, Row] = {}
    recent: Mapping[tuple[str, str], Row] = {}

    @property
    def in_flight(self) -> int:
        """Requests at providers now. The daemon's own count includes this command's request."""
        return sum(int(provider.get("in_flight") or 0) for provider in self.status.get("providers") or ())


# -- over time ------------------------------------------------------------------------------------------


class History:
    """Requests per second between two snapshots, in total and for each name."""

    def __init__(self) -> None:
        self.rates: deque[float] = deque(maxlen=KEPT)
        self.by_name: dict[tuple[str, str], float] = {}
        self.last: Snapshot | None = None

    @property
    def rate(self) -> float:
        return self.rates[-1] if self.rates else 0.0

    def add(self, snapshot: Snapshot) -> None:
        """Add a snapshot. A restarted daemon counts from zero, so this does as well."""
        last, self.last = self.last, snapshot
        if last is None or snapshot.at <= last.at:
            return
        passed = snapshot.at - last.at
        same = last.status.get("instance") == snapshot.status.get("instance")
        self.rates.append(max(0, _total(snapshot) - (_total(last) if same else 0)) / passed)
        # Statistics survive a restart, but are loaded a moment after it.
        before = last.totals if same else snapshot.totals
        self.by_name = {key: max(0, count - before.get(key, 0)) / passed for key, count in snapshot.totals.items()}


def _total(snapshot: Snapshot) -> int:
    return int(out.get(snapshot.status, "requests", "total") or 0)


def minute_series(snapshot: Snapshot, key: str, count: int = 60) -> list[float | None]:
    """The last `count` minutes of a statistic, oldest first; None for a minute without a measurement."""
    this = int(snapshot.clock) // 60 * 60
    moments = range(this - (count - 1) * 60, this + 60, 60)
    names = (time.strftime("%Y-%m-%d %H:%M", time.gmtime(moment)) for moment in moments)
    return [snapshot.minutes.get(name, {}).get(key) for name in names]


def newest(series: Iterable[float | None]) -> float | None:
    found = [value for value in series if value is not None]
    return found[-1] if found else None


def sparkline(values: Sequence[float | None], width: int) -> str:
    """The last `width` values as blocks, scaled to the greatest; a space for a missing value. It begins with the first
    known one."""
    shown = list(dropwhile(lambda value: value is None, values))[-width:] if width > 0 else []
    top = max((value for value in shown if value is not None), default=0.0)
    marks = [
        " " if value is None else _BLOCKS[min(7, int(value / top * 7.999))] if top > 0 else _BLOCKS[0]
        for value in shown
    ]
    return "".join(marks).ljust(max(0, width))


# -- tables -----------------------------------------------------------------------------------------------


class Cell(msgspec.Struct, frozen=True):
    """order: the value to sort by; None comes last."""

    text: str
    tone: str = ""
    order: Any = None


class Column(msgspec.Struct, frozen=True):
    """least: the narrowest width (0: never cut). rank: if columns do not fit, the one with the highest rank is dropped
    first."""

    name: str
    right: bool = False
    least: int = 0
    rank: int = 0


class Line(msgspec.Struct, frozen=True):
    key: str
    cells: tuple[Cell, ...]


class Table(msgspec.Struct, frozen=True):
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    empty: str = ""

    def sorted(self, column: int, descending: bool) -> Table:
        """Sorted by a column; rows without a value in it come last."""
        have = [line for line in self.lines if line.cells[column].order not in (None, "")]
        rest = [line for line in self.lines if line.cells[column].order in (None, "")]
        have.sort(key=lambda line: line.cells[column].order, reverse=descending)
        return Table(self.columns, (*have, *rest), self.empty)


def text(value: Any, tone: str = "") -> Cell:
    shown = "" if value is None else one_line(str(value))
    return Cell(shown, tone, shown.lower())


def number(value: Any, shown: Callable[[Any], str], tone: str = "") -> Cell:
    return Cell("" if not value else shown(value), tone, value)


def fitted(table: Table, width: int, padding: int = 2) -> list[tuple[int, int]]:
    """(column, width) of the columns that fit. The widest are cut first, if they may be; then the least important are
    dropped."""
    places = [
        place
        for place, column in enumerate(table.columns)
        if place == 0 or not table.lines or any(line.cells[place].text for line in table.lines)
    ]
    natural = {
        place: max([len(table.columns[place].name), *(len(line.cells[place].text) for line in table.lines)])
        for place in places
    }
    while True:
        widths = {place: natural[place] for place in places}
        over = sum(widths.values()) + padding * len(places) - width
        least = {
            place: max(table.columns[place].least, len(table.columns[place].name))
            for place in places
            if table.columns[place].least
        }
        while over > 0 and (cuttable := [place for place in places if widths[place] > least.get(place, widths[place])]):
            widths[max(cuttable, key=widths.__getitem__)] -= 1
            over -= 1
        if over <= 0 or len(places) == 1:
            return [(place, max(1, min(widths[place], width - padding))) for place in places]
        places.remove(max(places[1:], key=lambda place: table.columns[place].rank))


def cut(content: str, width: int) -> str:
    return content if len(content) <= width else content[: max(0, width - 1)] + "…"


# -- lines ------------------------------------------------------------------------------------------------


def rate(value: float) -> str:
    return "" if not value else f"{value:.1f}" if value < 99.95 else f"{value:,.0f}"


TONES = {"debug": FAINT, "warning": WARN, "error": BAD, "critical": BAD}


def event_parts(event: Row) -> tuple[str, str, str, str]:
    """(time, type, what it concerns and why, tone)."""
    at = datetime.fromtimestamp(from_nanos(event.get("at_ns") or 0)).strftime("%H:%M:%S")
    ids = one_line(" ".join(str(value) for value in (event.get("ids") or {}).values()))
    reason = one_line(str(event.get("reason") or ""))
    concerned = f"{ids}: {reason}" if ids and reason else ids or reason
    return at, one_line(str(event.get("type") or "")), concerned, TONES.get(str(event.get("severity")), "")


def tightest(budgets: Sequence[Row] | None) -> Row | None:
    """The tightest limit in money, or of any kind if there is none in money."""
    rows = [row for row in budgets or () if row.get("measure") == "cost"] or budgets
    return max(rows, key=budget.taken) if rows else None


def as_json(snapshot: Snapshot, history: History) -> dict[str, Any]:
    """One snapshot for programs."""
    names = {key for key in history.by_name if history.by_name[key]}
    return {
        "time": snapshot.clock,
        "requests_per_second": round(history.rate, 3),
        "in_flight": snapshot.in_flight,
        "first_token_p50": newest(minute_series(snapshot, "ttft_p50")),
        "latency_p50": newest(minute_series(snapshot, "latency_p50")),
        "rates": [
            {"scope": scope, "name": name, "per_second": history.by_name[scope, name]} for scope, name in sorted(names)
        ],
        "status": snapshot.status,
        "pools": list(snapshot.pools),
        "models": list(snapshot.models),
        "apps": None if snapshot.apps is None else list(snapshot.apps),
        "budget": None if snapshot.budgets is None else list(snapshot.budgets),
    }
