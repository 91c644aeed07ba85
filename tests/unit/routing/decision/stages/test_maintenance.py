"""Maintenance windows: what texts mean, and which moments they cover, also where clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some

from meshd.routing.decision.stages import maintenance
from meshd.routing.decision.stages.maintenance import Maintenance, MaintenanceStage
from meshd.routing.table.policies import DeactivationPolicy
from tests.support.routing.routing_builders import mesh

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str, zone: ZoneInfo | None = None, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone or UTC, fold=fold).timestamp()


def test_a_window_begins_by_its_expression_and_lasts_for_its_duration() -> None:
    window = Maintenance("0 3 * * sun 2h")
    sunday = "2026-11-22T"
    assert window.covers(at(f"{sunday}02:59:59.9")) is None
    assert window.covers(at(f"{sunday}03:00")) == at(f"{sunday}05:00")
    assert window.covers(at(f"{sunday}04:59:59.9")) == at(f"{sunday}05:00")
    assert window.covers(at(f"{sunday}05:00")) is None
    assert window.covers(at("2026-11-23T03:30")) is None
    assert window.covers(at(f"{sunday}03:30")) == at(f"{sunday}05:00"), "also for a clock that was set back"


def test_windows_that_go_over_into_each_other_are_one() -> None:
    overlapping = Maintenance("0 1-3 * * * 90m")
    assert overlapping.covers(at("2026-11-22T01:00")) == at("2026-11-22T04:30")
    assert overlapping.covers(at("2026-11-22T03:59")) == at("2026-11-22T04:30")
    assert overlapping.covers(at("2026-11-22T04:30")) is None
    assert Maintenance("0 1-3 * * * 1h").covers(at("2026-11-22T01:30")) == at("2026-11-22T04:00")
    end = Maintenance("* * * * * 1m").covers(at("2026-11-22T01:30"))
    assert end is not None, "one that never ends is looked at again"
    assert end > at("2026-11-22T03:00")


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("@hourly 10m", "2026-05-05T13:09", "2026-05-05T13:10"),
        ("@daily 30m", "2026-05-05T00:29", "2026-05-05T00:30"),
        ("@midnight 1h30m", "2026-05-05T01:29", "2026-05-05T01:30"),
        ("@weekly 1d", "2026-11-22T12:00", "2026-11-23T12:00"),
        ("@MONTHLY 1w", "2026-05-07T23:59", "2026-05-08T00:00"),
        ("@yearly 2d", "2026-01-02T23:59", "2026-01-03T00:00"),
        ("@annually 2d", "2026-01-02T23:59", "2026-01-03T00:00"),
        ("  */15 9-17 * * mon-fri   90s ", "2026-11-23T09:16:29", "2026-11-23T09:16:30"),
        ("30 23 * * * 1.5h", "2026-11-23T00:59", "2026-11-23T01:00"),
    ],
)
def test_what_texts_mean(text: str, inside: str, outside: str) -> None:
    assert Maintenance(text).covers(at(inside)) is not None
    assert Maintenance(text).covers(at(outside)) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not a cron expression and a duration"),
        ("2h", "is not a cron expression and a duration"),
        ("0 3 * * 2h", "is not a cron expression and a duration"),
        ("0 0 3 * * sun 2h", "is not a cron expression and a duration"),
        ("@fortnightly 2h", "is not a cron expression and a duration"),
        ("0 3 * * sun", "is not a cron expression and a duration"),
        ("0 3 * * sun 2", "'2' is not a duration"),
        ("0 3 * * sun two", "'two' is not a duration"),
        ("0 3 * * sun 0s", "never comes"),
        ("61 3 * * sun 2h", "bad minute in '61 3"),
        ("0 3 * * someday 2h", "bad day-of-week"),
        ("0 3 1,21 * 1L 2h", ""),
        ("* * */20 * 1L 2h", "never comes"),
    ],
)
def test_an_invalid_text_is_refused(text: str, says: str) -> None:
    if not says:
        assert Maintenance(text).duration == 7200.0
        return
    with pytest.raises(ValueError, match="(?s)" + says.replace("(", "\\(")):
        Maintenance(text)


def test_an_unknown_timezone_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no time zone 'Mars/Base'"):
        Maintenance("@daily 1h", "Mars/Base")


def test_windows_follow_the_daemons_timezone() -> None:
    window = Maintenance("0 3 * * * 1h", "Europe/Berlin")
    assert window.covers(at("2026-07-01T01:30")) == at("2026-07-01T02:00"), "summer: UTC+2"
    assert window.covers(at("2026-12-01T02:30")) == at("2026-12-01T03:00"), "winter: UTC+1"
    assert window.covers(at("2026-12-01T01:30")) is None


def test_a_window_whose_hour_is_skipped_begins_when_it_is_over() -> None:
    window = Maintenance("30 2 * * * 1h", "Europe/Berlin")
    three = at("2026-03-29T03:00", BERLIN)
    assert window.covers(three - 1) is None
    assert window.covers(three) == three + 3600


def test_a_window_whose_hour_comes_twice_begins_once() -> None:
    window = Maintenance("30 2 * * * 1h", "Europe/Berlin")
    first, second = at("2026-10-25T02:30", BERLIN, 0), at("2026-10-25T02:30", BERLIN, 1)
    assert second - first == 3600
    assert window.covers(first) == window.covers(second - 1) == second
    assert window.covers(second) is None
    assert Maintenance("30 2 * * * 1h", "Europe/Berlin").covers(at("2026-10-25T03:20", BERLIN)) is None


def test_windows_that_overlap_continue() -> None:
    window = Maintenance("0 * * * * 2h")
    now = at("2026-05-05T13:30")
    for _ in range(5):
        end = window.covers(now)
        assert end is not None
        assert end > now
        now = end


@given(
    some.sampled_from(["0 3 * * sun 2h", "@daily 30m", "*/20 * * * * 5m", "15 1 1 * * 36h", "0 2 * * * 3h"]),
    some.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia"]),
    some.lists(some.integers(0, 400 * 86400), min_size=1, max_size=20),
)
def test_what_is_remembered_is_what_would_be_computed(text: str, zone: str, moments: list[int]) -> None:
    window, start = Maintenance(text, zone), at("2026-01-01")
    for moment in moments:
        now = start + moment
        covers = window.covers(now)
        assert covers == Maintenance(text, zone).covers(now)
        assert covers is None or now < covers <= now + window.duration


def test_every_model_of_the_pool_rests() -> None:
    night = mesh("p.a", "q.b", deactivation=DeactivationPolicy(maintenance_window="0 3 * * * 2h"))
    night.now = at("2026-05-05T04:00")
    question = night.question()
    said = [MaintenanceStage(night.state).objection(night.table.models[id], question) for id in night.pool.members]
    assert said == ["maintenance window '0 3 * * * 2h', for another 1 h"] * 2
    night.now += 3600
    assert maintenance.objection_of(night.pool, night.now, "UTC") is None
    assert MaintenanceStage(night.state).objection(night.table.models["p.a"], night.question()) is None


def test_a_pool_without_a_window_never_rests() -> None:
    day = mesh("p.a")
    assert MaintenanceStage(day.state).objection(day.table.models["p.a"], day.question()) is None
    assert maintenance.ends_in(day.pool, day.now, "UTC") is None


def test_looking_costs_nothing_between_two_boundaries(monkeypatch: pytest.MonkeyPatch) -> None:
    window, now = Maintenance("@daily 30m"), at("2026-05-05T12:00")
    assert window.covers(now) is None
    monkeypatch.setattr("cronsim.CronSim", None)
    assert window.covers(now + timedelta(hours=11).total_seconds()) is None
    with pytest.raises(TypeError):
        window.covers(now + timedelta(hours=12).total_seconds())
