"""The sums of what agents used elsewhere are those of the cells, whatever happens to these."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import count
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.telemetry.statistics import spend
from meshd.telemetry.statistics.outside import OutsideUse
from meshd.telemetry.statistics.outside_sums import COUNTED
from meshd.telemetry.statistics.spend import Spend

NOW = 1_760_000_400.0
DAY = 86400.0
QUERIES: list[tuple[tuple[str, ...], dict[str, str]]] = [
    (("app",), {}),
    (("model",), {}),
    (("app", "model"), {}),
    (("user", "day"), {}),
    (("hour", "app"), {"model": "m1"}),
    (("model",), {"app": "a0", "user": "u1"}),
]

Counts = dict[tuple[str, ...], list[int]]
uses = st.builds(
    OutsideUse,
    agent=st.just("codex"),
    model=st.sampled_from(["m0", "m1", ""]),
    session=st.integers(0, 30).map(str),
    app=st.sampled_from(["a0", "a1", "", "naïve ☃"]),
    user=st.sampled_from(["u0", "u1"]),
    requests=st.integers(-1, 3),
    tokens_in=st.integers(0, 100),
    cost=st.integers(0, 10**12),
    **{name: st.just(0) for name in ("tokens_out", "tokens_cached", "began")},
    **{name: st.just("") for name in ("project", "signal", "series")},
)
moves = st.lists(
    st.one_of(
        uses,
        st.sampled_from(["save", "restart"]),
        st.sampled_from([60.0, 700.0, 4000.0, 2 * DAY, 30 * DAY]),  # time that passes
    ),
    max_size=30,
)


def told(spent: Spend, by: tuple[str, ...], where: Mapping[str, str], start: float, now: float) -> Counts:
    found = spent.outside(by, where, start, math.inf, now)
    return {group: [sums.n[place] for place in COUNTED] for group, sums in found.items()}


def in_cells(spent: Spend, by: tuple[str, ...], where: Mapping[str, str], start: float, now: float) -> Counts:
    found = spent.query(by, where, start, math.inf, now)
    counts = {group: [sums.n[place] for place in COUNTED] for group, sums in found.items()}
    return {group: each for group, each in counts.items() if any(each) and all(group)}


@given(moves)
def test_they_agree_with_the_cells(told_moves: list[Any]) -> None:
    with mock.patch.object(spend, "MOST_CELLS", 5), mock.patch.object(spend, "MOST_BYTES", 600):
        now, spent, stored = NOW, Spend(100 * DAY), dict[str, Any]()
        for move in told_moves:
            if isinstance(move, OutsideUse):
                spent.record_outside(move, now)
            elif isinstance(move, float):
                now += move
            else:
                stored.update(spent.changes(now))
                if move == "restart":
                    spent = Spend(100 * DAY)
                    for key, row in stored.items():
                        if row is not None:
                            spent.restore(key.split("\0")[2], row)
            for by, where in QUERIES:
                for start in (-math.inf, now - DAY):
                    assert told(spent, by, where, start, now) == in_cells(spent, by, where, start, now)


def test_a_years_totals_do_not_unpack_its_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    spent = Spend()
    for day in range(400):
        spent.record_outside(OutsideUse("codex", "m", f"s{day}", "a", "u", requests=1), NOW + day * DAY)
    now, unpacked = NOW + 400 * DAY, count()
    list(spent.changes(now))
    monkeypatch.setattr("meshd.telemetry.statistics.breakdown.unpack", lambda data: next(unpacked))
    for start in (-math.inf, now - 90 * DAY):
        ((sums,),) = [list(spent.outside(("app",), {}, start, math.inf, now).values())]
        assert sums.n[COUNTED[0]] in (400, 90)
    assert next(unpacked) == 0
    assert spent.outside(("project",), {}, -math.inf, math.inf, now) == {}
