"""`meshctl report`: which month, what is asked of the daemon, and what is on the page."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from meshd.cli.report import charts
from meshd.cli.report.charts import Series
from meshd.cli.report.month import Month
from meshd.cli.report.page import page
from meshd.cli.screen import output as out
from tests.support.months import november

NOW = datetime(2026, 11, 28, 20, tzinfo=UTC)


class Read(HTMLParser):
    """tags: how often each was opened. open: those that are not closed."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize(
    ("text", "name"), [("this", "2026-11"), ("last", "2026-10"), ("2026-01", "2026-01"), ("2024-02", "2024-02")]
)
def test_months(text: str, name: str) -> None:
    month = Month.named(text, NOW)
    assert month.name == name
    assert month.days()[0] == f"{name}-01"
    assert month.end.day == 1
    assert Month.named("last", datetime(2026, 1, 31, tzinfo=UTC)).name == "2025-12"


@pytest.mark.parametrize(
    "text", ["november", "2026-13", "2026-00", "2026-12", "2026-1", "0000-01", "２０２６-10", "2026-10\n", ""]
)
def test_no_months(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a month; write 2026-11|is in the future"):
        Month.named(text, NOW)


def test_the_page_is_whole_and_harmless() -> None:
    document = page(november(NOW))
    read = Read(document)
    assert read.open == []
    assert not {"script", "img", "link", "iframe"} & set(read.tags)
    assert "\x1b" not in document
    assert "\u202e" not in document
    assert not re.search(r"""(?:src|href|url)\s*[=(]""", document.replace("src=x onerror", ""))
    for words in ("Spend in November 2026", "~/work/api", "<img src=x onerror=alert(1)>", "no repository", "until"):
        assert words in read.text


def test_a_month_without_requests() -> None:
    found = november(NOW)
    empty = type(found)(found.month, found.month.end)
    read = Read(page(empty))
    assert "No requests in this month." in read.text
    assert "until" not in read.text
    assert "Budgets" not in read.text


@pytest.mark.parametrize("values", [[0.0, 0.0], [1e-9, 5.0], [1e12, 3.0], [0.1, 0.3]])
def test_bars_stay_within_the_chart(values: list[float]) -> None:
    drawn = charts.bars("a chart", ["1", "2"], [Series("a", "spend", values), Series("b", "bad", values)], str)
    for y, height in re.findall(r'y="([-\d.]+)" width="[\d.]+" height="([\d.]+)"', drawn):
        assert float(y) >= 8.0
        assert float(y) + float(height) <= 169.0
    assert "nan" not in drawn


@pytest.mark.parametrize("top", [0.0, 3.5, 2000.0, 15000.0, 1e9, 1e12])
def test_the_values_of_an_axis_are_within_the_chart(top: float) -> None:
    drawn = charts.bars("a chart", ["1"], [Series("a", "spend", [top])], out.usd)
    for x, text in re.findall(r'class="axis end" x="([\d.]+)"[^>]*>([^<]*)<', drawn):
        assert float(x) >= 6.4 * len(text)


def test_what_agents_used_elsewhere_has_columns_of_its_own() -> None:
    found = november(NOW)
    row = {"name": "p", "cost_total": 1.0, "requests_total": 2, "tokens_in": 300}
    row |= {"outside_requests": 7, "outside_tokens_in": 5_000_000, "outside_tokens_out": 1, "outside_cost": 9.0}
    told = Read(page(type(found)(found.month, found.until, row, {"2026-11-01": row}, {"project": [row]})))
    for words in ("outside requests", "outside tokens", "5.0M", "300", "$9.00"):
        assert words in told.text


def test_the_report_goes_to_a_pipe_and_replaces_no_device(fake: Any, meshctl: Any, tmp_path: Path) -> None:
    class Empty(dict[str, Any]):
        def __contains__(self, key: object) -> bool:
            return True

        def __getitem__(self, key: str) -> Any:
            return {"data": []}

    fake.answers = Empty()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert meshctl("report", "--month", "2026-01", "-o", str(pipe)).exit_code == 0
    assert os.read(reader, 15) == b"<!doctype html>"
    os.close(reader)
    assert pipe.is_fifo()
    assert meshctl("report", "--month", "2026-01", "-o", str(tmp_path)).exit_code == 1


def test_what_is_asked_and_written(fake: Any, meshctl: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    row = {"name": "2026-01-05", "cost_total": 0.25, "requests_total": 3}
    asked: list[str] = []

    class Answers(dict[str, Any]):
        def __contains__(self, key: object) -> bool:
            return True

        def __getitem__(self, key: str) -> Any:
            asked.append(key)
            return {"data": [row] if "by=day" in key else []}

    fake.answers = Answers()
    assert meshctl("report", "--month", "2026-01").exit_code == 0
    assert "Spend in January 2026" in (tmp_path / "meshd-report-2026-01.html").read_text()
    assert not any("budget" in key for key in asked), "the limits of today say nothing about January"
    told = json.loads(meshctl("report", "--month", "2026-01", "--json").stdout)
    assert (told["month"], told["total"]["cost_total"]) == ("2026-01", 0.25)
    assert meshctl("report", "--month", "2026-01", "-o", "-").stdout.startswith("<!doctype html>")
    assert meshctl("report", "--month", "soon").exit_code == 2
    assert meshctl("report", "--output", str(tmp_path / "no" / "where.html")).exit_code == 1
