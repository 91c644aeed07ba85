"""`meshctl stats`: what is asked of the daemon for which options, and how its answer looks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
import typer

from meshd.cli.show.usage.stats import seconds_back

ROW = {"requests_total": 12, "requests_failed": 0, "tokens_in": 1200, "tokens_out": 300, "cost_total": 0.25}


def test_by_two_with_filters(fake: Any, meshctl: Any) -> None:
    row = ROW | {"name": "shell, p/m", "group": {"app": "shell", "model": "p/m"}, "hedges": 3, "cache_hits": 0}
    fake.answers["GET stats?by=app%2Cmodel&name=shell&pool=chat&status=200"] = {"data": [row]}
    words = ("--by", "app,model", "--name", "shell", "--where", "pool=chat", "--where", "status=200")
    lines = meshctl("stats", *words).stdout.splitlines()
    assert lines[0].split() == ["app", "model", "requests", "tokens", "cost", "hedges"]
    assert lines[1].split() == ["shell", "p/m", "12", "1.2k+300", "$0.25", "3"]


def test_units_have_columns_where_there_are_any(fake: Any, meshctl: Any) -> None:
    row = ROW | {"name": "p/m", "group": {"model": "p/m"}, "units": {"searches": 3, "tokens_reasoning": 1200}}
    fake.answers["GET stats?by=model"] = {"data": [row, ROW | {"name": "p/n", "units": {}}]}
    lines = meshctl("stats").stdout.splitlines()
    assert lines[0].split() == ["model", "requests", "tokens", "cost", "searches", "reasoning"]
    assert lines[1].split() == ["p/m", "12", "1.2k+300", "$0.25", "3", "1.2k"]


def test_what_agents_used_elsewhere_has_columns_of_its_own(fake: Any, meshctl: Any) -> None:
    outside = {"outside_requests": 2, "outside_tokens_in": 1500, "outside_tokens_out": 20, "outside_cost": 0.5}
    fake.answers["GET stats?by=project"] = {"data": [ROW | {"name": "~/api", "group": {"project": "~/api"}} | outside]}
    lines = meshctl("stats", "--by", "project").stdout.splitlines()
    assert lines[0].endswith("outside  outside in  outside out")  # and the cost, which a narrow terminal wraps
    assert " ".join(lines[1:]).split() == ["~/api", "12", "1.2k+300", "$0.25", "2", "1.5k", "20", "$0.5"]
    assert meshctl("stats", "--by", "project,unit").exit_code == 2
    assert meshctl("stats", "--by", "app", "--where", "session=a", "--where", "status=200").exit_code == 2


def test_by_time_without_a_name(fake: Any, meshctl: Any) -> None:
    row = ROW | {"name": "2026-11-01, ", "group": {"day": "2026-11-01", "pool": ""}}
    fake.answers["GET stats?by=day%2Cpool"] = {"data": [row]}
    assert meshctl("stats", "--by", "day,pool").stdout.splitlines()[1].split()[:3] == ["2026-11-01", "–", "12"]


@pytest.mark.parametrize(
    "words",
    [("--by", "app,app"), ("--where", "app"), ("--where", "hour=1"), ("--since", "2999-01-01")],
)
def test_wrong_usage(meshctl: Any, words: tuple[str, ...]) -> None:
    assert meshctl("stats", *words).exit_code == 2


def test_moments() -> None:
    now = datetime(2026, 11, 2, 15, 30).timestamp()
    assert seconds_back(None, "--since", now) is None
    assert seconds_back("90m", "--since", now) == 5400
    assert seconds_back("today", "--since", now) == 15.5 * 3600
    assert seconds_back("2026-11-01", "--since", now) == 39.5 * 3600
    assert seconds_back("2026-11-02T15:00", "--until", now) == 1800
    with pytest.raises(typer.BadParameter, match="not a time"):
        seconds_back("soon", "--since", now)
