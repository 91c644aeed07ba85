"""Spend by project, agent, session and label: what is counted, for how long, and within which bounds."""

from __future__ import annotations

from typing import Any

import pytest

from meshd.core.events.records import Attempt, Outcome
from meshd.telemetry.statistics import spend
from meshd.telemetry.statistics.breakdown import OTHERS
from meshd.telemetry.statistics.dimensions import parse_by
from meshd.telemetry.statistics.outside import OutsideUse
from meshd.telemetry.statistics.statistics import Statistics

NOW = 1_760_000_400.0  # 2025-10-09 09:00:00 UTC
DAY = 86400.0


def outcome(**changed: Any) -> Outcome:
    fields: dict[str, Any] = {"request_id": "00", "at": NOW, "operation": "chat.completions", "asked": "chat"}
    fields |= {"status": 200, "pool": "chat", "model": "p/m", "provider": "p", "app": "agent", "user": "ann"}
    fields |= {"project": "~/api", "agent": "codex", "session": "s1", "label": "night", "cost": 7}
    return Outcome(**(fields | changed))


def ask(statistics: Statistics, by: str, field: str = "cost_total", **how: Any) -> dict[str, Any]:
    now = how.pop("now", NOW)
    rows = statistics.query(by, how.pop("name", None), how.pop("since", None), now, **how)
    return {row["name"]: row[field] for row in rows}


def kept(days: int = 30, of_spend: int = 400) -> Statistics:
    """For that long."""
    statistics = Statistics(retention=days * DAY)
    statistics.spend.retention = of_spend * DAY
    return statistics


def restored(statistics: Statistics, now: float = NOW) -> Statistics:
    again = kept()
    assert again.restore({key: value for key, value in statistics.changes(now) if value is not None}) == 0
    return again


def test_spend_is_counted_by_what_a_request_was_for() -> None:
    statistics = Statistics()
    statistics.record(outcome(), NOW)
    statistics.record(outcome(session="s2", cost=2), NOW)
    statistics.record(outcome(project="~/web", agent="", session="", label="", cost=1), NOW)
    for each in (statistics, restored(statistics)):
        assert ask(each, "project") == {"~/api": 9, "~/web": 1}
        assert ask(each, "session") == {"s1": 7, "s2": 2, "": 1}
        assert ask(each, "agent,project") == {"codex, ~/api": 9, ", ~/web": 1}
        assert ask(each, "label", where={"project": "~/web"}) == {"": 1}
        assert ask(each, "model", where={"session": "s2"}) == {"p/m": 2}
        assert ask(each, "day,project", where={"user": "bob"}) == {}


def test_spend_outlives_the_other_statistics() -> None:
    statistics = kept()
    statistics.record(outcome(), NOW)
    later = NOW + 200 * DAY
    statistics.record(outcome(project="~/web", cost=1), later)
    again = restored(statistics, later)
    assert ask(again, "app", now=later, where={"pool": "chat"}) == {"agent": 1}
    assert ask(again, "day,app", now=later, of_spend=True) == {"2025-10-09, agent": 7, "2026-04-27, agent": 1}
    assert ask(again, "project", now=later, since=DAY) == {"~/web": 1}
    much_later = NOW + 401 * DAY
    assert ask(restored(again, much_later), "project", now=much_later) == {"~/web": 1}


def test_requests_that_another_attempt_saved() -> None:
    statistics = Statistics()
    failed, ok = Attempt("q/x", "q", False, "server", status=500), Attempt("p/m", "p", True)
    statistics.record(outcome(attempts=(failed, ok), rotations=1), NOW)
    statistics.record(outcome(attempts=(failed,), status=502), NOW)
    statistics.record(outcome(attempts=(ok,)), NOW)
    assert ask(statistics, "project", "requests_saved") == {"~/api": 1}
    assert ask(statistics, "app", "requests_saved") == {"agent": 1}


def test_what_was_used_elsewhere_is_beside_and_never_in_the_sums() -> None:
    statistics = Statistics()
    statistics.record(outcome(), NOW)
    use = OutsideUse("codex", "gpt-5", "s1", "agent", "ann", "~/api", 2, 100, 10, 50, cost=1000)
    statistics.spend.record_outside(use, NOW)
    for each in (statistics, restored(statistics)):
        assert ask(each, "project") == {"~/api": 7}
        assert ask(each, "project", "requests_total") == {"~/api": 1}
        assert ask(each, "project", "outside_cost") == {"~/api": 1000}
        assert ask(each, "model", "outside_tokens_in", of_spend=True) == {"gpt-5": 100, "p/m": 0}
        assert ask(each, "app") == {"agent": 7}
        assert ask(each, "app", "outside_cost") == {"agent": 1000}
        assert ask(each, "model") == {"p/m": 7, "gpt-5": 0}
        assert ask(each, "model", "outside_tokens_in") == {"p/m": 0, "gpt-5": 100}
        assert ask(each, "app,model", "outside_requests") == {"agent, p/m": 0, "agent, gpt-5": 2}
        assert ask(each, "provider", "outside_requests") == {"p": 0}
        assert ask(each, "pool", "outside_requests") == {"chat": 0}


def test_one_users_sessions_do_not_hide_what_another_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spend, "MOST_CELLS", 40)
    statistics = Statistics()
    for number in range(500):
        statistics.record(outcome(session=f"s{number}", project=f"~/{number % 90}", cost=1), NOW)
    for number in range(5):
        statistics.record(outcome(user="bob", session=f"b{number}", cost=1), NOW)
    statistics.record(outcome(session="dear", project="~/dear", cost=10_000), NOW)
    for each in (statistics, restored(statistics)):
        assert ask(each, "session", where={"user": "bob"}) == {f"b{number}": 1 for number in range(5)}
        assert ask(each, "user") == {"ann": 10_500, "bob": 5}
        by_project = ask(each, "project", where={"user": "ann"})
        assert len(by_project) <= 40
        assert sum(by_project.values()) == 10_500
        assert by_project["~/dear"] == 10_000
        assert OTHERS in by_project


def test_even_countless_users_stay_within_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spend, "MOST_CELLS", 10)
    statistics = Statistics()
    for number in range(100):
        statistics.record(outcome(user=f"u{number}", session=f"s{number}"), NOW)
    found = ask(statistics, "user,session")
    assert len(found) <= 10
    assert sum(found.values()) == 700


@pytest.mark.parametrize("by", ["project,status", "unit,session"])
def test_dimensions_that_spend_lacks(by: str) -> None:
    with pytest.raises(ValueError, match=r"cannot count by .* here; give one of pool, model"):
        parse_by(by)


def test_rows_of_other_dimensions_are_left_out() -> None:
    statistics = Statistics()
    statistics.record(outcome(), NOW)
    row = next(value for key, value in statistics.changes(NOW) if key.startswith("breakdown") and value)
    assert Statistics().restore({"spend\0\0" + str(int(NOW) // 60 * 60): row}) == 1
