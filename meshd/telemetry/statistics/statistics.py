"""Counts, tokens, cost and latencies by model, provider, pool, app and other dimensions.

Owns: the current minute, every name's series, and the breakdown by all dimensions at once.
Must never: delay the router. An outcome is added to the minute's cells, and cells are added to the names once a minute
or at a query.

For a pool or an app, requests are counted; for a model or a provider, attempts, so that a model's failure is visible
although another answered. Latencies are those of successes.

A query by one of the four scopes alone uses its names' series, which are complete; one that names a dimension of spend
alone, or asks for spend, uses that; every other query uses the breakdown. Both are bounded as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from meshd.core.events.cause import RESETS
from meshd.core.events.event_type import EventType
from meshd.core.events.records import Event, Outcome
from meshd.telemetry.statistics import breakdown, cells, spend
from meshd.telemetry.statistics import bucket as b
from meshd.telemetry.statistics.breakdown import OTHERS, Breakdown, Cells, merged
from meshd.telemetry.statistics.bucket import Bucket
from meshd.telemetry.statistics.cells import ATTEMPT, PLACE, REQUEST, WIDTH, Key
from meshd.telemetry.statistics.dimensions import OF_ATTEMPTS, TIMES, is_of_spend, parse_by
from meshd.telemetry.statistics.series import Series, restore, rows_of
from meshd.telemetry.statistics.spend import Spend

SCOPES = ("model", "provider", "pool", "app")
MOST_NAMES = 5000
"""Apps come and go. Beyond this many names in a scope, others are counted together."""
MOST_CELLS = 2000
"""Cells of a minute; beyond this many, they are settled early."""


class Statistics:
    def __init__(self, scopes: tuple[str, ...] = SCOPES, retention: float = math.inf) -> None:
        self.scopes = scopes
        self.retention = retention
        self.spend = Spend()
        self._series: dict[tuple[str, str], Series] = {}
        self._breakdown = Breakdown()
        self._cells: Cells = {}
        self._unflushed: dict[tuple[str, str], Bucket] = {}
        self._minute = 0
        self._down: dict[tuple[str, str], float] = {}  # (scope, name) → since when

    # -- counting -----------------------------------------------------------------------------------

    def record(self, outcome: Outcome, now: float) -> None:
        self._begin_minute(now)
        cells.count_outcome(outcome, self._cell)

    def event(self, event: Event, now: float) -> None:
        """Count what only events report: standby, downtime and quota resets."""
        self._begin_minute(now)
        ids = event.ids
        match event.type:
            case EventType.MODEL_DEACTIVATED:
                cells.count_standby(event, self._cell)
                self._down.setdefault(("model", ids.get("model", "")), now)
            case EventType.PROVIDER_DEACTIVATED:
                cells.count_standby(event, self._cell)
                self._down.setdefault(("provider", ids.get("provider", "")), now)
            case EventType.MODEL_ACTIVATED:
                self._came_up("model", ids.get("model", ""), now)
            case EventType.PROVIDER_RECOVERED:
                self._came_up("provider", ids.get("provider", ""), now)
        if event.cause in RESETS:
            cells.count_quota_reset(event, self._cell)

    def _came_up(self, scope: str, name: str, now: float) -> None:
        since = self._down.pop((scope, name), None)
        if since is not None:
            key = cells.at(ATTEMPT, **{scope: name})
            self._cell(key).n[b.DOWNTIME] += max(0, int((now - since) * 1e6))

    def _begin_minute(self, now: float) -> None:
        if int(now) // 60 * 60 != self._minute or len(self._cells) >= MOST_CELLS:
            self.settle(now)

    def _cell(self, key: Key) -> Bucket:
        return cells.cell_in(self._cells, key)

    def settle(self, now: float) -> None:
        """Add the minute's cells to their names."""
        minute, self._minute = self._minute, int(now) // 60 * 60
        if not self._cells:
            return
        counted, self._cells = self._cells, {}
        minute = minute or self._minute
        self.spend.put(minute, counted)
        found: Cells = {}
        for key, cell in counted.items():
            merged(found, {key[:WIDTH]: cell})
        sums: dict[tuple[str, str], Bucket] = {}
        for key, cell in found.items():
            for scope in self.scopes:
                name = key[PLACE[scope]]
                if name and key[0] & (ATTEMPT if scope in OF_ATTEMPTS else REQUEST):
                    sums.setdefault((scope, str(name)), Bucket()).add(cell)
        for (scope, name), bucket in sums.items():
            self._named(scope, name).put(minute, bucket)
            key_ = (scope, name if (scope, name) in self._series else OTHERS)
            self._unflushed.setdefault(key_, Bucket()).add(bucket)
        self._breakdown.put(minute, found)

    def _named(self, scope: str, name: str) -> Series:
        series = self._series.get((scope, name))
        if series is None:
            if sum(1 for key in self._series if key[0] == scope) >= MOST_NAMES and name != OTHERS:
                return self._named(scope, OTHERS)
            series = self._series[scope, name] = Series()
        return series

    # -- asking ---------------------------------------------------------------------------------------

    def query(
        self,
        scope: str,
        name: str | None,
        since: float | None,
        now: float,
        until: float | None = None,
        where: Mapping[str, str] | None = None,
        *,
        of_spend: bool = False,
    ) -> list[dict[str, Any]]:
        """One map per group, most requests first, or by time. since, until: seconds back; None: from the first, until
        now. of_spend: from what is kept longest. Raises ValueError for an unknown scope."""
        self.settle(now)
        by = parse_by(scope, where or (), of_spend=of_spend)
        if any(each in SCOPES and each not in self.scopes for each in (*by, *(where or ()))):
            return []
        if by[0] in SCOPES and len(by) == 1 and not where and until is None and not of_spend:
            return self._by_scope(by[0], name, since, now)
        start = -math.inf if since is None else now - since
        end = math.inf if until is None else now - until
        if of_spend or is_of_spend((*by, *(where or ()))):
            found = self.spend.query(by, where or {}, start, end, now)
        else:
            found = self._breakdown.query(by, where or {}, start, end)
            for group, sums in self.spend.outside(by, where or {}, start, end, now).items():
                found.setdefault(group, Bucket()).add(sums)
        rows = []
        for group, sums in found.items():
            if (name is None or group[0] == name) and (all(group) or any(sums.n[place] for place in b.USED)):
                rows.append(self._row(by, group, sums))
        timed = [place for place, each in enumerate(by) if each in TIMES]
        values = [list(row["group"].values()) for row in rows]
        order = sorted(
            range(len(rows)),
            key=lambda i: ([values[i][place] for place in timed], -rows[i]["requests_total"], values[i]),
        )
        return [rows[i] for i in order]

    def _by_scope(self, scope: str, name: str | None, since: float | None, now: float) -> list[dict[str, Any]]:
        rows = []
        outside = self.spend.outside((scope,), {}, -math.inf if since is None else now - since, math.inf, now)
        names = {each for kind, each in self._series if kind == scope} | {
            each for kind, each in self._down if kind == scope and each
        }
        names |= {each for (each,) in outside}
        for each in sorted(names):
            if name is not None and each != name:
                continue
            series = self._series.get((scope, each))
            found = Bucket()
            if series is not None:
                found.add(series.total if since is None else series.since(now - since))
            elsewhere = outside.get((each,))
            if elsewhere is not None:
                found.add(elsewhere)
            row = self._row((scope,), (each,), found)
            down = self._down.get((scope, each))
            if down is not None:
                start = down if since is None else max(down, now - since)
                row["downtime_total"] += max(0.0, now - start)
            if since is None or row["requests_total"] or row["standby_events"] or down is not None or elsewhere or name:
                rows.append(row)
        rows.sort(key=lambda row: -row["requests_total"])
        return rows

    def _row(self, by: tuple[str, ...], group: tuple[str, ...], sums: Bucket) -> dict[str, Any]:
        return {
            "scope": ",".join(by),
            "name": ", ".join(group),
            "group": dict(zip(by, group, strict=True)),
            **sums.row(),
        }

    def flush(self, now: float) -> list[dict[str, Any]]:
        """What happened since the last flush, one map per name. A downtime counts after its end."""
        self.settle(now)
        unflushed, self._unflushed = self._unflushed, {}
        return [{"scope": scope, "name": name, **bucket.row()} for (scope, name), bucket in unflushed.items()]

    def size(self) -> int:
        """Bytes of packed buckets, all names together."""
        return sum(series.size() for series in self._series.values()) + self._breakdown.size() + self.spend.size()

    # -- keeping --------------------------------------------------------------------------------------

    def changes(self, now: float) -> Iterator[tuple[str, dict[str, Any] | None]]:
        """Rows that changed since the last call: (key, value)."""
        self.settle(now)
        for (scope, name), series in self._series.items():
            series.coarsen(now, self.retention)
            yield from rows_of(f"{scope}\0{name}", series)
        self._breakdown.coarsen(now, self.retention)
        yield from self._breakdown.changes()
        yield from self.spend.changes(now)

    def restore(self, rows: dict[str, dict[str, Any]]) -> int:
        """Add rows that an earlier run wrote. Returns how many were invalid."""
        bad = 0
        for key, value in rows.items():
            try:
                scope, name, part = key.split("\0")
                if scope == breakdown.SCOPE:
                    self._breakdown.restore(part, value)
                elif scope == spend.SCOPE:
                    self.spend.restore(part, value)
                else:
                    restore(self._named(scope, name), part, value)
            except (ValueError, KeyError, TypeError):
                bad += 1
        return bad
