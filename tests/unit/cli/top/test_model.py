"""`meshctl top` without a terminal or a daemon: rates, series, what fits into a width, what stands in the tables."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from meshd.cli.top import lines, model, tables
from meshd.cli.top.model import Cell, Column, History, Line, Snapshot, Table, fitted, minute_series, sparkline

NOON = 1_760_011_200.0  # 2025-10-09 12:00:00 UTC


def snapshot(at: float = 0.0, total: int = 0, **changed: Any) -> Snapshot:
    status = {"instance": changed.pop("instance", "a"), "requests": {"total": total, "failed": 0}, "version": "1"}
    return Snapshot(at=at, clock=NOON + at, status=status | changed.pop("status", {}), **changed)


# -- over time ------------------------------------------------------------------------------------------


def test_rates_are_differences_over_time() -> None:
    history = History()
    history.add(snapshot(0, 100, totals={("pool", "chat"): 100}))
    assert (list(history.rates), history.rate) == ([], 0.0)
    history.add(snapshot(2, 110, totals={("pool", "chat"): 106, ("app", "new"): 4}))
    assert history.rate == 5.0
    assert history.by_name == {("pool", "chat"): 3.0, ("app", "new"): 2.0}
    history.add(snapshot(2, 111))  # no time passed
    assert list(history.rates) == [5.0]


def test_a_restarted_daemon_counts_from_zero_and_its_statistics_do_not() -> None:
    history = History()
    history.add(snapshot(0, 100, totals={("pool", "chat"): 5000}))
    history.add(snapshot(1, 7, instance="b", totals={}))
    assert history.rate == 7.0
    history.add(snapshot(2, 8, instance="b", totals={}))
    history.add(snapshot(3, 3, instance="b", totals={}))
    assert history.rate == 0.0


def test_minutes_in_their_places() -> None:
    minutes = {"2025-10-09 11:59": {"latency_p50": 0.5}, "2025-10-09 11:57": {"latency_p50": 0.2}}
    series = minute_series(snapshot(30, minutes=minutes), "latency_p50", 5)
    assert series == [None, 0.2, None, 0.5, None]
    assert model.newest(series) == 0.5
    assert model.newest([None]) is None


@pytest.mark.parametrize(
    ("values", "width", "shown"),
    [
        ([0, 1, 2, 4], 6, "▁▂▄█  "),
        ([None, 1.0, None], 3, "█  "),
        ([0.0, 0.0], 2, "▁▁"),
        ([9, 1, 1], 2, "██"),
        ([], 3, "   "),
        ([1], 0, ""),
    ],
)
def test_sparklines(values: list[float | None], width: int, shown: str) -> None:
    assert sparkline(values, width) == shown


# -- tables ---------------------------------------------------------------------------------------------


def table(*widths: int) -> Table:
    columns = (Column("name", least=6), Column("n", right=True), Column("why", least=5, rank=2), Column("p", rank=3))
    return Table(columns, (Line("k", tuple(Cell("x" * width) for width in widths)),))


def test_what_may_be_cut_is_cut_and_the_least_important_goes() -> None:
    assert fitted(table(10, 3, 20, 2), 60) == [(0, 10), (1, 3), (2, 20), (3, 2)]
    assert fitted(table(10, 3, 20, 2), 33) == [(0, 10), (1, 3), (2, 10), (3, 2)]
    assert fitted(table(10, 3, 20, 2), 20) == [(0, 6), (1, 3), (2, 5)]
    assert fitted(table(10, 3, 20, 2), 14) == [(0, 7), (1, 3)]
    assert fitted(table(10, 3, 0, 0), 60) == [(0, 10), (1, 3)]
    assert fitted(table(40, 3, 0, 0), 8) == [(0, 6)]
    assert model.cut("abcdef", 4) == "abc…"


@given(st.lists(st.integers(0, 90), min_size=4, max_size=4), st.integers(12, 200))
def test_a_table_never_overflows(widths: list[int], room: int) -> None:
    found = fitted(table(*widths), room)
    assert sum(width + 2 for _, width in found) <= room
    assert found[0][0] == 0


def test_sorting_leaves_what_is_empty_last() -> None:
    rows = tuple(Line(key, (Cell(key), Cell("", order=order))) for key, order in (("a", 2), ("b", None), ("c", 5)))
    unsorted = Table((Column("name"), Column("n")), rows)
    assert [line.key for line in unsorted.sorted(1, True).lines] == ["c", "a", "b"]
    assert [line.key for line in unsorted.sorted(1, False).lines] == ["a", "c", "b"]


def shown(found: Table) -> list[list[str]]:
    return [[cell.text for cell in line.cells] for line in found.lines]


def test_pools_models_and_apps() -> None:
    pool = {"name": "chat", "active": 1, "standby": 1, "current": "p/m", "strategy": "modelmesh.round-robin.v1"}
    look = snapshot(
        pools=[pool | {"models": [{"id": "p/m"}]}],
        models=[
            {
                "id": "p/m",
                "status": "active",
                "in_flight": 2,
                "requests": 9,
                "pools": ["chat"],
                "latency": {"p50": 0.5},
            },
            {"id": "p/n", "status": "standby", "reason": "quota\x1b[2J used\nup", "pools": []},
        ],
        apps=[{"name": "shell", "waiting": 3, "cost_today": 0.25}, {"name": "default"}],
        totals={("app", "shell"): 12, ("app", "other"): 1},
        recent={("pool", "chat"): {"latency_p50": 0.5, "requests_failed": 2}},
        status={"providers": [{"in_flight": 2}, {"in_flight": 1}]},
    )
    history = History()
    history.by_name = {("pool", "chat"): 1.25, ("app", "shell"): 150.4}
    assert look.in_flight == 3
    (row,) = shown(tables.pools_table(look, history))
    assert row == ["chat", "1/2", "p/m", "2", "1.2", "500 ms", "", "", "2", "round-robin"]
    models = shown(tables.models_table(look))
    assert models[0][:6] == ["p/m", "active", "2", "9", "", "500 ms"]
    assert models[1][-1] == "quota\\x1b[2J used up"
    assert [line.key for line in tables.models_table(look, "chat").lines] == ["p/m"]
    assert tables.models_table(look, "none").empty == "none has no models"
    apps = {row[0]: row for row in shown(tables.apps_table(look, history))}
    assert apps["shell"][2:5] == ["3", "150", "12"]
    assert apps["shell"][-1] == "$0.25"
    assert set(apps) == {"shell", "other", "default (sum)"}
    assert [row[0] for row in shown(tables.apps_table(replace(look, apps=None), history))] == ["shell", "other"]


BUDGET = {
    "scope": "app", "name": "mail", "measure": "cost", "window": "day", "source": "budget", "limit": 2.0, "spent": 1.5,
    "reserved": 0.0, "remaining": 0.5, "resets_at": NOON, "enforce": True, "alert_threshold": 0.7,
}  # fmt: skip


def test_budgets() -> None:
    counts = BUDGET | {"measure": "requests", "name": "p", "limit": 10, "spent": 10, "scope": "provider"}
    found = tables.budget_table(snapshot(budgets=[BUDGET, counts]))
    assert shown(found)[0][:5] == ["app mail", "$1.50", "", "$2.00/day", "██░░░░░░ 25%"]
    assert [line.cells[4].tone for line in found.lines] == [model.WARN, model.BAD]
    assert tables.budget_table(snapshot()).empty == "this daemon does not report budgets"
    assert "no limits" in tables.budget_table(snapshot(budgets=[])).empty
    assert model.tightest([BUDGET, counts]) is BUDGET
    assert model.tightest([counts]) is counts
    assert model.tightest([]) is model.tightest(None) is None
    assert "app mail $1.50 of $2.00/day ██░░░░░░ 25% left" in lines.spend(snapshot(budgets=[BUDGET]), 78).plain


def test_events_newest_first_each_once() -> None:
    event = {"type": "model_rotated", "at_ns": 1, "severity": "warning", "ids": {"pool": "chat"}, "reason": "a\rb"}
    rows = tables.events_table([event, event, event | {"at_ns": 2, "ids": {}}])
    assert [row[1:] for row in shown(rows)] == [["model_rotated", "a b"], ["model_rotated", "chat: a b"]]
    reload = {"type": "config_reloaded", "at_ns": 3, "reason": "nothing changed"}
    below = [line.plain for line in lines.events([event, reload])]
    assert [line.index(what) for line, what in zip(below, ("chat: a b", "nothing changed"), strict=True)] == [27, 27]
    assert model.event_parts({"type": "x"})[1:] == ("x", "", "")


# -- lines ----------------------------------------------------------------------------------------------


def test_the_head_says_how_the_daemon_is() -> None:
    look, history = snapshot(status={"uptime": 61, "waiting": 4, "draining": True}), History()
    head = lines.head(look, history, "", 78)
    assert head.plain.startswith("meshd 1, up 1 m 1 s   0 in flight   4 waiting   draining")
    assert (head.plain.endswith("● live"), len(head)) == (True, 78)
    lost = lines.head(look, history, "no daemon answers at /run/x (gone): start it", 78).plain
    assert "no daemon answers at /run/x (gone); retrying…" in lost
    assert lost.endswith("● no daemon")
    assert lines.head(None, history, "", 78).plain.startswith("asking the daemon")
    assert lines.gauges(None, history, 78).plain == lines.spend(None, 78).plain == ""


@pytest.mark.parametrize("width", [78, 98, 158])
def test_gauges_fit(width: int) -> None:
    history = History()
    history.rates.extend([1.0] * 200)
    minutes = {"2025-10-09 12:00": {"latency_p50": 95.0, "ttft_p50": 0.12}}
    line = lines.gauges(snapshot(minutes=minutes), history, width).plain
    assert len(line) <= width
    assert [part in line for part in ("req/s 1.0 ", "first 120 ms ", "total 1 m 35 s ")] == [True, True, True]


def test_one_look_for_programs() -> None:
    history = History()
    look = snapshot(1, 5, pools=[{"name": "chat"}], totals={("pool", "chat"): 2})
    history.add(snapshot(0, 0))
    history.add(look)
    found = model.as_json(look, history)
    assert (found["requests_per_second"], found["budget"]) == (5.0, None)
    assert found["rates"] == [{"scope": "pool", "name": "chat", "per_second": 2.0}]
    assert found["pools"] == [{"name": "chat"}]
