"""Counts, tokens, cost and latencies by model, provider, pool and app.

Owns: what an outcome and an event count for in each scope, and every name's series.
Must never: cost the router anything: an outcome is added to one cell, that of its (pool, model, provider, app) in
the minute, and cells are dealt out to the names once a minute or when somebody asks.

A pool and an app count requests; a model and a provider count attempts, so a model that fails shows it although
another answered. Latencies are those of what succeeded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from meshd.messages import Event, Outcome
from meshd.telemetry import bucket as b
from meshd.telemetry.bucket import Bucket
from meshd.telemetry.series import Series, restore, rows_of
from meshd.telemetry.sketch import bucket_of

SCOPES = ("model", "provider", "pool", "app")
MOST_NAMES = 5000
OTHERS = "(others)"
"""Apps come and go; beyond so many names of a scope the rest are counted together."""

_Cell = tuple[str, str, str, str]  # pool, model, provider, app


class Statistics:
    def __init__(self, scopes: tuple[str, ...] = SCOPES, retention: float = 30 * 86400.0) -> None:
        self.scopes = scopes
        self.retention = retention
        self._series: dict[tuple[str, str], Series] = {}
        self._cells: dict[_Cell, Bucket] = {}
        self._extra: dict[tuple[str, str], Bucket] = {}  # what belongs to one scope alone
        self._unflushed: dict[tuple[str, str], Bucket] = {}
        self._minute = 0
        self._down: dict[tuple[str, str], float] = {}  # (scope, name) → since when

    # -- counting -----------------------------------------------------------------------------------

    def record(self, outcome: Outcome, now: float) -> None:
        minute = int(now) // 60 * 60
        if minute != self._minute:
            self.settle(now)
        key = (outcome.pool, outcome.model, outcome.provider, outcome.app)
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = Bucket()
        n = cell.n
        n[b.REQUESTS] += 1
        if outcome.status < 400:
            n[b.SUCCESS] += 1
            n[b.LATENCY] += int(outcome.total_time * 1e6)
            place = bucket_of(outcome.total_time)
            cell.latency[place] = cell.latency.get(place, 0) + 1
            if outcome.first_token_time is not None:
                place = bucket_of(outcome.first_token_time)
                cell.ttft[place] = cell.ttft.get(place, 0) + 1
        elif outcome.status != 499:  # an app that went away says nothing of the model
            n[b.FAILED] += 1
        n[b.TOKENS_IN] += outcome.tokens_in
        n[b.TOKENS_OUT] += outcome.tokens_out
        n[b.TOKENS_CACHED] += outcome.tokens_cached
        n[b.COST] += outcome.cost
        n[b.ROTATIONS] += outcome.rotations
        n[b.RETRIES] += outcome.retries
        if outcome.queue_time:
            n[b.QUEUE] += int(outcome.queue_time * 1e6)
        if len(outcome.attempts) > 1:
            self._count_failed(outcome)

    def _count_failed(self, outcome: Outcome) -> None:
        """The attempts before the last, at the models and providers they went to."""
        last = outcome.attempts[-1]
        own = {"model": outcome.model or last.model, "provider": outcome.provider or last.provider}
        attempts = list(outcome.attempts)
        # The cell stands for the attempt whose model the outcome names.
        for index in range(len(attempts) - 1, -1, -1):
            if attempts[index].model == own["model"]:
                del attempts[index]
                break
        for attempt in attempts:
            for scope, name in (("model", attempt.model), ("provider", attempt.provider)):
                extra = self._of(scope, name)
                extra.n[b.REQUESTS] += 1
                if attempt.ok:
                    extra.n[b.SUCCESS] += 1
                else:
                    extra.n[b.FAILED] += 1
                if name != own[scope]:
                    extra.n[b.ROTATIONS] += 1

    def event(self, event: Event, now: float) -> None:
        """Standby, downtime and quota resets are told by events alone."""
        ids = event.ids
        match event.type:
            case "model_deactivated":
                self._went_down("model", ids.get("model", ""), now)
                if ids.get("pool"):
                    self._of("pool", ids["pool"]).n[b.STANDBY] += 1
            case "model_activated":
                self._came_up("model", ids.get("model", ""), now)
                if "quota" in event.reason:
                    for scope in ("model", "pool", "provider"):
                        if ids.get(scope):
                            self._of(scope, ids[scope]).n[b.QUOTA_RESETS] += 1
            case "provider_deactivated":
                self._went_down("provider", ids.get("provider", ""), now)
            case "provider_recovered":
                self._came_up("provider", ids.get("provider", ""), now)

    def _went_down(self, scope: str, name: str, now: float) -> None:
        if name:
            self._of(scope, name).n[b.STANDBY] += 1
            self._down.setdefault((scope, name), now)

    def _came_up(self, scope: str, name: str, now: float) -> None:
        since = self._down.pop((scope, name), None)
        if since is not None:
            self._of(scope, name).n[b.DOWNTIME] += max(0, int((now - since) * 1e6))

    def _of(self, scope: str, name: str) -> Bucket:
        found = self._extra.get((scope, name))
        if found is None:
            found = self._extra[scope, name] = Bucket()
        return found

    def settle(self, now: float) -> None:
        """Deal out the minute's cells to the names they count for."""
        minute, self._minute = self._minute, int(now) // 60 * 60
        cells, self._cells = self._cells, {}
        extra, self._extra = self._extra, {}
        if not cells and not extra:
            return
        minute = minute or self._minute
        sums = extra
        for (pool, model, provider, app), cell in cells.items():
            for key in (("pool", pool), ("app", app)):
                if key[1]:
                    sums.setdefault(key, Bucket()).add(cell)
            rotations, retries = cell.n[b.ROTATIONS], cell.n[b.RETRIES]
            cell.n[b.ROTATIONS] = 0
            for key in (("model", model), ("provider", provider)):
                if key[1]:
                    sums.setdefault(key, Bucket()).add(cell)
            cell.n[b.ROTATIONS], cell.n[b.RETRIES] = rotations, retries
        for (scope, name), bucket in sums.items():
            if scope in self.scopes:
                self._named(scope, name).put(minute, bucket)
                key = (scope, name if (scope, name) in self._series else OTHERS)
                self._unflushed.setdefault(key, Bucket()).add(bucket)

    def _named(self, scope: str, name: str) -> Series:
        series = self._series.get((scope, name))
        if series is None:
            if sum(1 for key in self._series if key[0] == scope) >= MOST_NAMES and name != OTHERS:
                return self._named(scope, OTHERS)
            series = self._series[scope, name] = Series()
        return series

    # -- asking ---------------------------------------------------------------------------------------

    def query(self, scope: str, name: str | None, since: float | None, now: float) -> list[dict[str, Any]]:
        """One map a name, most requests first. since: seconds back; None: all there ever was."""
        self.settle(now)
        rows = []
        names = {each for kind, each in self._series if kind == scope} | {
            each for kind, each in self._down if kind == scope and scope in self.scopes
        }
        for each in sorted(names):
            if name is not None and each != name:
                continue
            series = self._series.get((scope, each))
            found = Bucket()
            if series is not None:
                found = series.total if since is None else series.since(now - since)
            row = {"scope": scope, "name": each, **found.row()}
            down = self._down.get((scope, each))
            if down is not None:
                start = down if since is None else max(down, now - since)
                row["downtime_total"] += max(0.0, now - start)
            if since is None or row["requests_total"] or row["standby_events"] or down is not None or name:
                rows.append(row)
        rows.sort(key=lambda row: -row["requests_total"])
        return rows

    def flush(self, now: float) -> list[dict[str, Any]]:
        """What happened since the last flush, one map a name. A downtime is in the one after its end."""
        self.settle(now)
        unflushed, self._unflushed = self._unflushed, {}
        return [{"scope": scope, "name": name, **bucket.row()} for (scope, name), bucket in unflushed.items()]

    def size(self) -> int:
        """Bytes of packed buckets, all names together."""
        return sum(series.size() for series in self._series.values())

    # -- keeping --------------------------------------------------------------------------------------

    def changes(self, now: float) -> Iterator[tuple[str, dict[str, Any] | None]]:
        """Rows to write since the last time: (key, value)."""
        self.settle(now)
        for (scope, name), series in self._series.items():
            series.coarsen(now, self.retention)
            yield from rows_of(f"{scope}\0{name}", series)

    def restore(self, rows: dict[str, dict[str, Any]]) -> int:
        """Add rows that an earlier life wrote; how many made no sense."""
        bad = 0
        for key, value in rows.items():
            try:
                scope, name, part = key.split("\0")
                restore(self._named(scope, name), part, value)
            except (ValueError, KeyError, TypeError):
                bad += 1
        return bad
