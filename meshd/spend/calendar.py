"""The calendar for counting usage: the day and month of a moment, in the configured time zone.

Owns: the bounds of days and months. Must never: ask for the time; moments are UTC seconds given by the caller.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import msgspec


class Period(msgspec.Struct, frozen=True):
    """One day. day: "YYYY-MM-DD". yesterday: the day before it. month: "YYYY-MM". Bounds in UTC seconds, ends
    exclusive."""

    day: str
    yesterday: str
    month: str
    start: float
    end: float
    month_start: float
    month_end: float


class Calendar:
    """timezone: an IANA name. Raises ValueError for an unknown one."""

    def __init__(self, timezone: str = "UTC") -> None:
        self._zone: tzinfo = UTC
        if timezone != "UTC":  # UTC needs no time zone database
            try:
                self._zone = ZoneInfo(timezone)
            except (OSError, LookupError, ValueError) as error:
                raise ValueError(f"there is no time zone {timezone!r}") from error

    def period(self, at: float) -> Period:
        """Not cached: a caller keeps it until its end."""
        today = self._date(at)
        start = self._midnight(today)
        first = today.replace(day=1)
        return Period(
            day=today.isoformat(),
            # Not the date minus one: zones that crossed the date line skipped a day.
            yesterday=self._date(start - 1).isoformat(),
            month=today.isoformat()[:7],
            start=start,
            end=self._midnight(today + timedelta(days=1)),
            month_start=self._midnight(first),
            month_end=self._midnight((first + timedelta(days=31)).replace(day=1)),
        )

    def text(self, at: float) -> str:
        """For people: "2026-11-24 00:00 UTC"."""
        return datetime.fromtimestamp(at, self._zone).strftime("%Y-%m-%d %H:%M %Z")

    def _date(self, at: float) -> date:
        return datetime.fromtimestamp(at, self._zone).date()

    def _midnight(self, day: date) -> float:
        # If clocks skip midnight, this is the moment of the skip; if they repeat it, the first of the two midnights.
        return datetime(day.year, day.month, day.day, tzinfo=self._zone).timestamp()
