"""Statistics by anything: attribution to the right model, any grouping over any time, bounds, restarts."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.core.events.cause import Cause
from meshd.core.events.records import Attempt, Event, Outcome
from meshd.telemetry.statistics import breakdown
from meshd.telemetry.statistics.breakdown import Breakdown
from meshd.telemetry.statistics.bucket import Bucket
from meshd.telemetry.statistics.dimensions import parse_by
from meshd.telemetry.statistics.statistics import Statistics

NOW = 1_760_000_400.0  # 2025-10-09 09:00:00 UTC
DAY = 86400.0


def outcome(**changed: Any) -> Outcome:
    fields: dict[str, Any] = {"request_id": "00", "at": NOW, "operation": "chat.completions", "asked": "chat"}
    fields |= {"status": 200, "pool": "chat", "model": "p/m", "provider": "p", "app": "shell", "uid": 7}
    fields |= {"unit": "shell.service", "tokens_in": 10, "tokens_out": 5, "cost": 7, "total_time": 0.5}
    return Outcome(**(fields | changed))


def ask(statistics: Statistics, by: str, field: str = "requests_total", **how: Any) -> dict[str, Any]:
    now = how.pop("now", NOW)
    rows = statistics.query(by, how.pop("name", None), how.pop("since", None), now, **how)
    return {row["name"]: row[field] for row in rows}


# -- whose it is ----------------------------------------------------------------------------------------


def test_what_an_attempt_cost_is_its_own_models() -> None:
    statistics = Statistics()
    attempts = (
        Attempt("q/x", "q", False, "stream_cut", tokens_in=10, tokens_out=3, cost=4),
        Attempt("p/m", "p", True, duration=0.2, tokens_in=10, tokens_out=5, cost=7),
    )
    statistics.record(outcome(attempts=attempts, rotations=1, tokens_in=20, tokens_out=8, cost=11), NOW)
    assert ask(statistics, "model", "cost_total") == {"p/m": 7, "q/x": 4}
    assert ask(statistics, "provider", "tokens_out") == {"p": 5, "q": 3}
    assert ask(statistics, "pool", "cost_total") == {"chat": 11}
    assert ask(statistics, "app", "requests_total") == {"shell": 1}
    assert ask(statistics, "model", "latency_p50")["p/m"] == pytest.approx(0.2, rel=0.02)
    assert ask(statistics, "model", "latency_p50")["q/x"] is None


def test_units_are_each_models_own_and_outlive_a_restart() -> None:
    statistics = Statistics()
    attempts = (
        Attempt("q/x", "q", False, "stream_cut", units={"tokens_reasoning": 30}),
        Attempt("p/m", "p", True, units={"tokens_reasoning": 5, "searches": 1}),
    )
    both = {"tokens_reasoning": 35, "searches": 1}
    statistics.record(outcome(attempts=attempts, units=both), NOW)
    statistics.record(outcome(attempts=attempts[1:], units=attempts[1].units), NOW)
    again = Statistics()
    assert again.restore({key: value for key, value in statistics.changes(NOW) if value is not None}) == 0
    for each in (statistics, again):
        expected = {"q/x": {"tokens_reasoning": 30}, "p/m": {"tokens_reasoning": 10, "searches": 2}}
        assert ask(each, "model", "units") == expected
        assert ask(each, "model", "units", where={"pool": "chat"}) == expected
        assert ask(each, "pool", "units") == {"chat": {"tokens_reasoning": 40, "searches": 2}}


def test_what_no_attempt_accounts_for_is_the_answering_ones() -> None:
    statistics = Statistics()
    attempts = (Attempt("q/x", "q", False, "server", cost=2), Attempt("p/m", "p", True))
    statistics.record(outcome(attempts=attempts), NOW)
    assert ask(statistics, "model", "cost_total") == {"p/m": 5, "q/x": 2}


def test_a_hedge_that_lost_is_not_a_failure_and_costs_its_own_model() -> None:
    statistics = Statistics()
    attempts = (
        Attempt("q/x", "q", False, "cancelled", status=499, cost=3),
        Attempt("p/m", "p", True, cost=7, hedge=True),
    )
    statistics.record(outcome(attempts=attempts, hedges=1, cost=10), NOW)
    assert ask(statistics, "model", "requests_failed") == {"p/m": 0, "q/x": 0}
    assert ask(statistics, "model", "hedges") == {"p/m": 1, "q/x": 0}
    assert ask(statistics, "model", "rotation_events") == {"p/m": 0, "q/x": 0}
    assert ask(statistics, "model", "cost_total") == {"p/m": 7, "q/x": 3}
    assert ask(statistics, "pool", "hedges") == {"chat": 1}


def test_a_cached_answer_is_a_request_but_no_attempt() -> None:
    statistics = Statistics()
    statistics.record(outcome(cached=True, cost=0), NOW)
    assert ask(statistics, "pool") == {"chat": 1}
    assert ask(statistics, "pool", "cache_hits") == {"chat": 1}
    assert ask(statistics, "model") == {"p/m": 0}
    assert ask(statistics, "model", "cache_hits") == {"p/m": 1}


def test_all_attempts_failed_and_no_model_answered() -> None:
    statistics = Statistics()
    attempts = (Attempt("q/x", "q", False, "server", status=500), Attempt("p/m", "p", False, "server", status=502))
    statistics.record(outcome(attempts=attempts, status=502, model="", provider="", cost=0), NOW)
    assert ask(statistics, "model", "requests_failed") == {"p/m": 1, "q/x": 1}
    assert ask(statistics, "pool", "requests_failed") == {"chat": 1}
    assert ask(statistics, "status,model") == {"500, q/x": 1, "502, p/m": 1}
    assert ask(statistics, "status") == {"502": 1}


def test_a_request_that_came_to_no_model_counts_for_its_app() -> None:
    statistics = Statistics()
    statistics.record(outcome(status=404, pool="", model="", provider="", cost=0), NOW)
    assert ask(statistics, "app", "requests_failed") == {"shell": 1}
    assert ask(statistics, "model") == ask(statistics, "pool") == {}
    assert ask(statistics, "app,pool") == {"shell, ": 1}


# -- any question ---------------------------------------------------------------------------------------


def test_by_two_filtered_and_named() -> None:
    statistics = Statistics()
    for app, model, count in (("a", "p/m", 3), ("a", "p/n", 2), ("b", "p/m", 1)):
        for _ in range(count):
            statistics.record(outcome(app=app, model=model), NOW)
    assert list(ask(statistics, "app,model").items()) == [("a, p/m", 3), ("a, p/n", 2), ("b, p/m", 1)]
    assert ask(statistics, "model", where={"app": "b"}) == {"p/m": 1}
    assert ask(statistics, "app", where={"model": "p/m", "operation": "chat.completions"}) == {"a": 3, "b": 1}
    assert ask(statistics, "app,model", name="b") == {"b, p/m": 1}
    assert ask(statistics, "user") == {"7": 6}
    assert ask(statistics, "unit,operation") == {"shell.service, chat.completions": 6}
    assert statistics.query("app,model", "b", None, NOW)[0]["group"] == {"app": "b", "model": "p/m"}


def test_by_time_in_its_order_between_two_moments() -> None:
    statistics = Statistics()
    for back, count in ((3 * 3600, 1), (2 * 3600, 2), (60, 3)):
        for _ in range(count):
            statistics.record(outcome(), NOW - back)
    assert list(ask(statistics, "hour").items()) == [
        ("2025-10-09 06:00", 1),
        ("2025-10-09 07:00", 2),
        ("2025-10-09 08:00", 3),
    ]
    assert ask(statistics, "day") == {"2025-10-09": 6}
    assert ask(statistics, "minute", since=1000.0) == {"2025-10-09 08:59": 3}
    assert ask(statistics, "app", until=3600.0) == {"shell": 3}
    assert ask(statistics, "app", since=2.5 * 3600, until=3600.0) == {"shell": 2}


def test_what_can_be_asked() -> None:
    assert parse_by("app, model") == ("app", "model")
    for wrong in ("", "colour", "app,app", "app,model,pool,user"):
        with pytest.raises(ValueError, match="by "):
            parse_by(wrong)
        with pytest.raises(ValueError, match="by "):
            Statistics().query(wrong, None, None, NOW)


def test_a_disabled_scope_is_not_reported() -> None:
    statistics = Statistics(scopes=("pool",))
    statistics.record(outcome(), NOW)
    assert ask(statistics, "pool,app") == ask(statistics, "pool", where={"app": "shell"}) == {}
    assert ask(statistics, "pool,user") == {"chat, 7": 1}


def test_standby_and_quota_by_the_hour() -> None:
    statistics = Statistics()
    ids = {"model": "p/m", "pool": "chat", "provider": "p"}
    statistics.event(Event("model_deactivated", 0, ids=ids), NOW)
    statistics.event(Event("model_activated", 0, ids=ids, cause=Cause.QUOTA_RESET), NOW + 60)
    statistics.event(Event("provider_deactivated", 0, ids={"provider": "p"}), NOW)
    statistics.event(Event("provider_recovered", 0, ids={"provider": "p"}), NOW + 30)
    statistics.event(Event("provider_deactivated", 0), NOW)
    assert ask(statistics, "hour,model", "downtime_total", now=NOW + 90) == {"2025-10-09 09:00, p/m": 60.0}
    assert ask(statistics, "provider", "downtime_total", now=NOW + 90) == {"p": 30.0}
    assert ask(statistics, "provider", "quota_resets", now=NOW + 90) == {"p": 1}
    assert ask(statistics, "pool", "quota_resets", now=NOW + 90) == {"chat": 1}
    assert ask(statistics, "provider", "standby_events", now=NOW + 90) == {"p": 1}


APPS, MODELS, STATUSES = ["a", "b", ""], ["p/m", "p/n", "q/x"], [200, 404, 499, 503]


@st.composite
def outcomes(draw: st.DrawFn) -> Outcome:
    names = draw(st.lists(st.sampled_from(MODELS), max_size=4))
    last = draw(st.booleans())
    attempts = tuple(
        Attempt(name, name[0], last and place == len(names) - 1, cost=draw(st.integers(0, 9)), duration=0.1)
        for place, name in enumerate(names)
    )
    cost = sum(each.cost for each in attempts) + (draw(st.integers(0, 9)) if attempts else 0)
    model = names[-1] if names else ""
    return outcome(
        app=draw(st.sampled_from(APPS)),
        status=200 if last else draw(st.sampled_from(STATUSES)),
        attempts=attempts,
        model=model,
        provider=model[:1],
        cost=cost,
    )


@given(st.lists(st.tuples(outcomes(), st.integers(0, 5 * 86400)), max_size=40), st.randoms())
def test_every_grouping_adds_up_to_the_same(told: list[tuple[Outcome, int]], chance: random.Random) -> None:
    """Requests and cost are neither lost nor doubled, whatever they are grouped by, also after coarsening."""
    statistics = Statistics()
    for each, back in sorted(told, key=lambda item: -item[1]):
        statistics.record(each, NOW - back)
    if chance.random() < 0.5:
        list(statistics.changes(NOW))
    cost = sum(each.cost for each, _ in told)
    attempts = sum(len(each.attempts) for each, _ in told)
    for by in ("hour", "user", "day,app", "operation", "status,pool"):
        assert sum(ask(statistics, by).values()) == len(told)
        assert sum(ask(statistics, by, "cost_total").values()) == cost
    for by in ("model", "provider", "app,model", "day,provider"):
        assert sum(ask(statistics, by).values()) == attempts
        assert sum(ask(statistics, by, "cost_total").values()) == cost


# -- bounds and restarts ----------------------------------------------------------------------------------


def test_a_month_of_many_callers_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breakdown, "MOST_BYTES", 100_000)
    chance, kept = random.Random(1), Breakdown()
    start = int(NOW) // 86400 * 86400
    for ten_minutes in range(12 * 24 * 6):
        cells = {}
        for number in range(25):
            cell = Bucket()
            cell.n[0] = chance.randrange(100)
            cells[3, "chat", "p/m", "p", f"app-{number}", "7", "", "chat", "200"] = cell
        kept.put(start + ten_minutes * 600, cells)
        if ten_minutes % 36 == 0:
            kept.coarsen(start + ten_minutes * 600, 30 * DAY)
    now = start + 12 * DAY
    kept.coarsen(now, 30 * DAY)
    assert kept.size() <= 100_000
    assert kept.size() == sum(len(row["cells"]) for _, row in kept.changes() if row is not None)
    assert len(kept.query(("app",), {}, now - DAY)) == 25
    kept.coarsen(now + 40 * DAY, 30 * DAY)
    assert kept.size() == 0


def test_too_many_to_be_told_apart_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breakdown, "MOST_CELLS", 20)
    monkeypatch.setattr("meshd.telemetry.statistics.statistics.MOST_CELLS", 50)
    statistics = Statistics()
    for number in range(200):
        statistics.record(outcome(app=f"app-{number}", model=f"p/{number}"), NOW)
    for _ in range(5):
        statistics.record(outcome(app="busy", model="p/busy"), NOW)
    found = ask(statistics, "app,operation")
    assert sum(found.values()) == 205
    assert found["busy, chat.completions"] == 5
    assert found["(others), (others)"] > 100
    assert len(found) <= 20


@pytest.mark.parametrize("through_json", [True, False])
def test_a_breakdown_survives_a_restart(through_json: bool) -> None:
    first = Statistics()
    for back in (3 * DAY, 7200.0, 60.0):
        first.record(outcome(), NOW - back)
    stored = {key: value for key, value in first.changes(NOW) if value is not None}
    if through_json:
        stored = msgspec.json.decode(msgspec.json.encode(stored))
    second = Statistics()
    second.record(outcome(app="early"), NOW)
    nonsense = {"breakdown\0\x0017": {"step": 60, "cells": b""}, "breakdown\0\x00600": {"step": 600, "cells": "x"}}
    assert second.restore(stored | nonsense) == 2
    assert ask(second, "app,model") == {"shell, p/m": 3, "early, p/m": 1}
    written = dict(second.changes(NOW))
    assert [key for key in written if key.startswith("breakdown")] == [f"breakdown\0\0{int(NOW)}"]
    third = Statistics()
    third.restore({key: value for key, value in (stored | written).items() if value is not None})
    third.restore(stored)  # told twice, counted on top of what is there
    assert ask(third, "operation") == {"chat.completions": 7}


def test_what_became_a_longer_stretch_is_removed_where_it_was() -> None:
    statistics = Statistics()
    statistics.record(outcome(), NOW + 60)
    keys = {key for key, value in statistics.changes(NOW + 120) if value is not None}
    assert f"breakdown\0\0{int(NOW) + 60}" in keys
    later = dict(statistics.changes(NOW + DAY))
    assert later[f"breakdown\0\0{int(NOW) + 60}"] is None
    assert later[f"breakdown\0\0{int(NOW)}"] is not None
    statistics.record(outcome(), NOW + 120)  # a clock that went back
    assert ask(statistics, "operation", now=NOW + 180) == {"chat.completions": 2}
