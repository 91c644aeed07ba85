"""Maintenance windows: times at which a pool's models are not asked (`deactivation.maintenance_window`).

Owns: reading a window ("0 3 * * sun 2h", "@daily 30m"), and whether it covers a moment, in the daemon's time zone.
Must never: read a clock, or touch the state of models: a window begins and ends by itself, and no model failed.

At clock changes windows begin as cron jobs do: one in a skipped hour begins when that hour is over, one in a repeated
hour begins once. Their duration is elapsed time.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo

from meshd.core.text.durations import format_duration
from meshd.routing.availability.recovery import STANDBY
from meshd.routing.availability.state import MeshState
from meshd.routing.decision.stages.base import ModelStatus, Stage
from meshd.routing.request.question import Question
from meshd.routing.table.specs import ModelSpec, PoolSpec

_NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhdw])+", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])", re.ASCII)
_FORM = 'a cron expression and a duration, like "0 3 * * sun 2h" or "@daily 30m"'
_MERGED = 100  # adjoining windows that are merged, before it is computed again
_SOME_DAY = datetime(2000, 1, 1, tzinfo=UTC)


class Maintenance:
    """The windows of one text in one time zone. Moments are UTC seconds.

    Raises ValueError, which says what is wrong with the text, or that the time zone is unknown.
    """

    def __init__(self, text: str, timezone: str = "UTC") -> None:
        self._expression, self.duration = _read(text)
        self._zone = _zone(timezone)
        self._known = (0.0, 0.0)  # from when to when `_end` holds
        self._end: float | None = None

    def covers(self, now: float) -> float | None:
        """When the window that `now` is in ends; None outside of one."""
        since, until = self._known
        if not since <= now < until:
            self._look(now)
        return self._end

    def _look(self, now: float) -> None:
        from cronsim import CronSim

        starts = CronSim(self._expression, datetime.fromtimestamp(now - self.duration, self._zone))
        begins = next(starts).timestamp()
        while begins + self.duration <= now:  # the first of a repeated hour
            begins = next(starts).timestamp()
        if begins > now:
            self._known, self._end = (now, begins), None
        else:
            self._end = begins + self.duration
            for start in islice(starts, _MERGED):
                if start.timestamp() > self._end:
                    break
                self._end = max(self._end, start.timestamp() + self.duration)
            self._known = begins, self._end


def _read(text: str) -> tuple[str, float]:
    expression, _, length = text.strip().rpartition(" ")
    expression = _NAMED.get(expression.strip().lower(), expression)
    if len(expression.split()) != 5:
        raise ValueError(f"{text!r} is not {_FORM}")
    if not _DURATION.fullmatch(length):
        raise ValueError(f"{length!r} is not a duration: expected {_FORM}")
    duration = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(length))
    from cronsim import CronSim, CronSimError  # with calendar and locale, 0.4 MB: few pools have such a window

    try:
        begins = next(CronSim(expression, _SOME_DAY), None)
    except CronSimError as error:
        raise ValueError(f"{str(error).lower()} in {expression!r}: expected {_FORM}") from None
    if begins is None or not duration:
        raise ValueError(f"{text!r} never comes")
    return expression, duration


def _zone(timezone: str) -> tzinfo:
    if timezone == "UTC":
        return UTC
    try:
        return ZoneInfo(timezone)
    except (OSError, LookupError, ValueError) as error:
        raise ValueError(f"there is no time zone {timezone!r}") from error


@lru_cache(maxsize=1024)
def parse_maintenance(text: str, timezone: str = "UTC") -> Maintenance:
    """Cached by text. Raises ValueError as `Maintenance` does."""
    return Maintenance(text, timezone)


def ends_in(pool: PoolSpec, now: float, timezone: str) -> float | None:
    """Seconds until the window that the pool is in ends; None outside of one. now: by the wall clock."""
    if pool.deactivation.maintenance_window is None:
        return None
    end = parse_maintenance(pool.deactivation.maintenance_window, timezone).covers(now)
    return None if end is None else end - now


def objection_of(pool: PoolSpec, now: float, timezone: str) -> str | None:
    """Why the pool's models may not be asked now; None if they may."""
    left = ends_in(pool, now, timezone)
    return (
        None
        if left is None
        else f"maintenance window {pool.deactivation.maintenance_window!r}, for another {format_duration(left)}"
    )


class MaintenanceStage(Stage):
    """The pool is not in a maintenance window."""

    name = "maintenance"

    def __init__(self, state: MeshState) -> None:
        self._state = state

    def objection(self, model: ModelSpec, question: Question) -> str | None:
        if question.pool.deactivation.maintenance_window is None:
            return None
        return objection_of(question.pool, question.now + self._state.ahead, question.table.timezone)

    def status(self, model: ModelSpec, question: Question) -> ModelStatus | None:
        left = ends_in(question.pool, question.now + self._state.ahead, question.table.timezone)
        if left is None:
            return None
        return ModelStatus(STANDBY, f"maintenance window {question.pool.deactivation.maintenance_window!r}", left)

    def clears_in(
        self, model: ModelSpec, question: Question, *, untested: bool = False, dropped: bool = True
    ) -> float | None:
        return ends_in(question.pool, question.now + self._state.ahead, question.table.timezone) or 0.0
