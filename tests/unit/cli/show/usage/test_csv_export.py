"""Statistics as CSV."""

from __future__ import annotations

import csv

import pytest

from meshd.cli.show.usage.csv_export import as_csv


@pytest.mark.parametrize(
    ("name", "written"),
    [("~/api", "~/api"), ("=1+1", "'=1+1"), ('a,"b"\nc', 'a,"b" c'), ("", ""), ("-x", "'-x"), ("@x", "'@x")],
)
def test_names_are_never_formulas(name: str, written: str) -> None:
    [row] = csv.DictReader(as_csv(("project",), [{"group": {"project": name}, "requests_total": 3}]).splitlines())
    assert row["project"] == written
    assert row["requests_total"] == "3"


def test_numbers_without_exponents() -> None:
    row = {"group": {"app": "a"}, "cost_total": 1e-7, "latency_p50": 1.5, "ttft_p50": None, "units": {"searches": 2}}
    [found] = csv.DictReader(as_csv(("app",), [row]).splitlines())
    assert (found["cost_total"], found["latency_p50"], found["ttft_p50"]) == ("0.0000001", "1.5", "")
    assert (found["searches"], found["images"]) == ("2", "0")
