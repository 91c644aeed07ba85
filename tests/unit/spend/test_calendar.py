"""Days and months as people in a timezone have them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.spend.calendar import Calendar, Period

HOUR = 3600.0
NOON = 1_795_435_200.0  # 2026-11-23 12:00 UTC
ZONES = ["UTC", "Europe/Berlin", "America/Havana", "America/Sao_Paulo", "Asia/Beirut", "Pacific/Apia", "Asia/Kolkata"]


def test_a_day_of_utc() -> None:
    found = Calendar().period(NOON)
    assert found == Period(
        "2026-11-23", "2026-11-22", "2026-11", NOON - 12 * HOUR, NOON + 12 * HOUR, 1_793_491_200.0, 1_796_083_200.0
    )
    assert Calendar().period(found.end).day == "2026-11-24"
    assert Calendar().text(NOON) == "2026-11-23 12:00 UTC"


def test_a_day_is_the_timezones() -> None:
    assert Calendar("Pacific/Kiritimati").period(NOON).day == "2026-11-24"
    assert Calendar("America/New_York").period(NOON - 8 * HOUR).day == "2026-11-22"
    assert Calendar("Europe/Berlin").text(NOON) == "2026-11-23 13:00 CET"


def test_days_of_daylight_saving_are_longer_and_shorter() -> None:
    berlin = Calendar("Europe/Berlin")
    lengths = []
    for day in ((2026, 3, 29), (2026, 10, 25)):
        found = berlin.period(datetime(*day, 12, tzinfo=ZoneInfo("Europe/Berlin")).timestamp())
        lengths.append((found.end - found.start) / HOUR)
    assert lengths == [23, 25]


def test_a_day_that_a_zone_left_out_is_nobodys_yesterday() -> None:
    apia = Calendar("Pacific/Apia")
    after = apia.period(datetime(2011, 12, 31, 12, tzinfo=ZoneInfo("Pacific/Apia")).timestamp())
    assert (after.day, after.yesterday) == ("2011-12-31", "2011-12-29")
    assert apia.period(after.start - 1).end == after.start


@pytest.mark.parametrize("name", ["Mars/Olympus", "../etc/passwd", "", "Europe"])
def test_an_unknown_timezone(name: str) -> None:
    with pytest.raises(ValueError, match="there is no time zone"):
        Calendar(name)


@given(st.sampled_from(ZONES), st.integers(0, 4_000_000_000))
def test_every_moment_is_in_one_day_and_days_follow_each_other(zone: str, at: int) -> None:
    calendar = Calendar(zone)
    found = calendar.period(at)
    assert found.month_start <= found.start <= at < found.end <= found.month_end
    assert found.day.startswith(found.month)
    after = calendar.period(found.end)
    assert (after.start, after.yesterday) == (found.end, found.day)
    assert (after.month == found.month) == (found.end < found.month_end)
