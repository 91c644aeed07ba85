"""Statistics: what counts where, percentiles within their promise, bounded memory, restarts."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.core.events.cause import Cause
from meshd.core.events.records import Attempt, Event, Outcome
from meshd.telemetry.statistics import sketch
from meshd.telemetry.statistics.bucket import Bucket
from meshd.telemetry.statistics.measures import MEASURES, Measure, in_usd
from meshd.telemetry.statistics.series import Series
from meshd.telemetry.statistics.statistics import Statistics

NOW = 1_760_000_400.0
NOTHING = {"tokens_in": 0, "tokens_out": 0, "cost": 0}


def outcome(**changed: Any) -> Outcome:
    fields: dict[str, Any] = {
        "request_id": "00",
        "at": NOW,
        "operation": "chat.completions",
        "asked": "chat",
        "status": 200,
        "pool": "chat",
        "model": "p/m",
        "provider": "p",
        "app": "shell",
        "tokens_in": 10,
        "tokens_out": 5,
        "cost": 7,
        "total_time": 0.5,
    }
    return Outcome(**(fields | changed))


def row(statistics: Statistics, scope: str, name: str, since: float | None = None, now: float = NOW) -> dict[str, Any]:
    return statistics.query(scope, name, since, now)[0]


def test_a_request_counts_in_every_scope() -> None:
    statistics = Statistics()
    statistics.record(outcome(first_token_time=0.1), NOW)
    statistics.record(outcome(status=503, tokens_in=0, tokens_out=0, cost=0), NOW)
    for scope, name in (("model", "p/m"), ("provider", "p"), ("pool", "chat"), ("app", "shell")):
        found = row(statistics, scope, name)
        assert (found["requests_total"], found["requests_success"], found["requests_failed"]) == (2, 1, 1)
        assert (found["tokens_in"], found["tokens_out"], found["cost_total"]) == (10, 5, 7)
        assert found["latency_avg"] == 0.5
        assert found["latency_p99"] == pytest.approx(0.5, rel=0.02)
        assert found["ttft_p95"] == pytest.approx(0.1, rel=0.02)


def test_a_failed_attempt_shows_at_its_own_model() -> None:
    statistics = Statistics()
    attempts = (Attempt("q/x", "q", False, "server"), Attempt("p/m", "p", False, "server"), Attempt("p/m", "p", True))
    statistics.record(outcome(attempts=attempts, rotations=1, retries=1), NOW)
    assert row(statistics, "pool", "chat")["requests_total"] == 1
    assert row(statistics, "pool", "chat")["rotation_events"] == 1
    assert row(statistics, "model", "q/x")["requests_failed"] == 1
    assert row(statistics, "model", "q/x")["rotation_events"] == 1
    model = row(statistics, "model", "p/m")
    assert (model["requests_total"], model["requests_failed"], model["rotation_events"]) == (2, 1, 0)
    assert model["retries"] == 1


def test_downtime_runs_until_the_model_is_back() -> None:
    statistics = Statistics()
    ids = {"model": "p/m", "pool": "chat"}
    statistics.event(Event("model_deactivated", 0, ids=ids), NOW)
    assert row(statistics, "model", "p/m", now=NOW + 30)["downtime_total"] == 30
    statistics.event(Event("model_activated", 0, ids=ids, cause=Cause.QUOTA_RESET), NOW + 60)
    found = row(statistics, "model", "p/m", now=NOW + 600)
    assert (found["downtime_total"], found["standby_events"], found["quota_resets"]) == (60, 1, 1)
    assert row(statistics, "pool", "chat")["standby_events"] == 1


def test_an_app_that_disconnected_is_not_a_failure() -> None:
    statistics = Statistics()
    statistics.record(outcome(status=499), NOW)
    found = row(statistics, "model", "p/m")
    assert (found["requests_total"], found["requests_success"], found["requests_failed"]) == (1, 0, 0)


def test_since_leaves_out_what_is_older() -> None:
    statistics = Statistics()
    statistics.record(outcome(), NOW - 7200)
    statistics.record(outcome(), NOW - 60)
    assert row(statistics, "model", "p/m", 3600)["requests_total"] == 1
    assert row(statistics, "model", "p/m", 10800)["requests_total"] == 2
    assert row(statistics, "model", "p/m")["requests_total"] == 2


def test_only_the_scopes_asked_for() -> None:
    statistics = Statistics(scopes=("pool",))
    statistics.record(outcome(), NOW)
    assert statistics.query("model", None, None, NOW) == []
    assert len(statistics.query("pool", None, None, NOW)) == 1


def test_every_row_is_json() -> None:
    statistics = Statistics()
    statistics.record(outcome(), NOW)
    json.dumps(statistics.query("model", None, None, NOW), allow_nan=False)


def test_names_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshd.telemetry.statistics.statistics.MOST_NAMES", 3)
    statistics = Statistics()
    for number in range(10):
        statistics.record(outcome(app=f"app-{number}"), NOW)
    rows = statistics.query("app", None, None, NOW)
    assert len(rows) == 4
    assert sum(each["requests_total"] for each in rows) == 10


@given(st.lists(st.floats(1e-4, 3000), min_size=1, max_size=300), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_quantile_is_within_two_percent_of_a_value_seen(values: list[float], q: float) -> None:
    counts: dict[int, int] = {}
    for value in values:
        place = sketch.bucket_of(value)
        counts[place] = counts.get(place, 0) + 1
    expected = sorted(values)[int(q * (len(values) - 1))]
    found = sketch.quantile(counts, q)
    assert found is not None
    assert found == pytest.approx(expected, rel=sketch.ERROR + 1e-9)


def test_memory_of_a_name_busy_for_a_month_is_bounded() -> None:
    series = Series()
    chance = random.Random(1)
    minutes = 30 * 24 * 60
    start = int(NOW) // 3600 * 3600
    for minute in range(minutes):
        bucket = Bucket()
        bucket.n[0] = 60
        for _ in range(10):
            place = sketch.bucket_of(chance.lognormvariate(0, 0.5))
            bucket.latency[place] = bucket.latency.get(place, 0) + 1
        series.put(start + minute * 60, bucket)
        if minute % 60 == 0:
            series.coarsen(start + minute * 60, 30 * 86400)
    now = start + minutes * 60
    series.coarsen(now, 30 * 86400)
    assert sum(len(chunk.buckets) for chunk in series.hours.values()) < 1100
    assert series.size() < 200_000
    assert series.since(now - 86400).n[0] == 24 * 60 * 60
    assert series.total.n[0] == minutes * 60
    series.coarsen(now + 40 * 86400, 30 * 86400)
    assert not series.hours


@pytest.mark.parametrize("through_json", [True, False])
def test_a_restart_loses_nothing_that_was_flushed(through_json: bool) -> None:
    first = Statistics()
    for number in range(5):
        first.record(outcome(), NOW + number * 1000)
    stored: dict[str, Any] = {}
    stored.update(dict(first.changes(NOW + 5000)))
    assert dict(first.changes(NOW + 5001)) == {}
    first.record(outcome(), NOW + 5002)
    stored.update(dict(first.changes(NOW + 5003)))
    if through_json:
        stored = msgspec.json.decode(msgspec.json.encode(stored))
    second = Statistics()
    second.record(outcome(), NOW + 5004)
    assert second.restore(stored | {"nonsense": {}, "model\0x\0notanumber": {"step": 60}}) == 2
    assert row(second, "model", "p/m", now=NOW + 5005)["requests_total"] == 7
    assert row(second, "model", "p/m", 1500, NOW + 5005)["requests_total"] == 3


def test_a_flush_tells_what_came_since_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshd.telemetry.statistics.statistics.MOST_NAMES", 2)
    statistics = Statistics(scopes=("app",))
    flushed = []
    for second in range(6):  # all in one minute
        statistics.record(outcome(app=f"app-{second}"), NOW + second)
        flushed.append({each["name"]: each["requests_total"] for each in statistics.flush(NOW + second)})
    assert flushed == [{"app-0": 1}, {"app-1": 1}, *[{"(others)": 1}] * 4]
    assert statistics.flush(NOW + 7) == []


@pytest.mark.parametrize("measure", [each for each in MEASURES if each.of_request], ids=lambda each: each.name)
def test_what_a_request_used_arrives_in_its_own_column_and_no_other(measure: Measure) -> None:
    statistics = Statistics()
    statistics.record(outcome(**NOTHING), NOW)
    before = row(statistics, "pool", "chat")
    one = type(getattr(outcome(), measure.of_request))(1)
    statistics.record(outcome(**NOTHING | {measure.of_request: one}), NOW)
    found = row(statistics, "pool", "chat")
    changed = {name for name in found if found[name] != before[name]} - {"latency_avg"}
    assert changed == {measure.name, "requests_total", "requests_success"}
    assert found[measure.name] - before[measure.name] == 1


def test_money_is_shown_in_usd() -> None:
    statistics = Statistics()
    statistics.record(outcome(cost=2_500_000_000), NOW)
    assert in_usd(row(statistics, "pool", "chat"))["cost_total"] == 2.5


def test_what_an_earlier_version_stored_means_the_same() -> None:
    stored = Bucket.unpack(msgspec.msgpack.encode((list(range(1, 17)), {}, {}))).row()
    assert {name: value for name, value in stored.items() if value is not None} == {
        "requests_total": 1,
        "requests_success": 2,
        "requests_failed": 3,
        "tokens_in": 4,
        "tokens_out": 5,
        "tokens_cached": 6,
        "cost_total": 7,
        "downtime_total": 9e-6,
        "standby_events": 10,
        "quota_resets": 11,
        "rotation_events": 12,
        "retries": 13,
        "queue_time": 14e-6,
        "hedges": 15,
        "cache_hits": 16,
        "units": {},
        **dict.fromkeys((measure.name for measure in MEASURES[16:]), 0),
    }
