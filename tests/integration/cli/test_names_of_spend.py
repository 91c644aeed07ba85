"""Names of projects, agents, sessions and labels in any script, from a request's headers to every report."""

from __future__ import annotations

import csv
import json
from typing import Any

import httpx
import pytest

from tests.integration.cli.conftest import CONFIG
from tests.support.waiting import WAIT, until

NAMES = {
    "project": "~/arbeit/größe",
    "agent": "Ассистент",
    "session": "セッション-1",
    "label": "naïve ☃ 🧪",
}
HEADERS = {"project": "mesh-project", "agent": "mesh-agent", "session": "x-session-id", "label": "mesh-label"}


@pytest.fixture(scope="module")
def daemon(module_meshd: Any) -> Any:
    made = module_meshd({**CONFIG, "proxy": {"enabled": True, "port": "auto"}})
    headers = {HEADERS[what]: name.encode() for what, name in NAMES.items()}
    url = made.ask("GET", "/mesh/v1/dashboard")["url"]
    body = {"model": "talk", "messages": [{"role": "user", "content": "hi"}]}
    answer = httpx.post(f"{url}/v1/chat/completions", headers=headers, json=body, timeout=WAIT)
    assert answer.status_code == 200, answer.text
    until(lambda: made.ask("GET", "/mesh/v1/stats?by=project")["data"])
    return made


@pytest.mark.parametrize("what", NAMES)
def test_a_name_is_the_same_in_every_form(what: str, daemon: Any, run_meshctl: Any) -> None:
    name = NAMES[what]
    stats = ("stats", "--by", what)
    (row,) = json.loads(run_meshctl(daemon, *stats, "--json").stdout)["data"]
    assert row["group"] == {what: name}
    (row,) = csv.DictReader(run_meshctl(daemon, *stats, "--format", "csv").stdout.splitlines())
    assert row[what] == name
    assert run_meshctl(daemon, *stats).stdout.splitlines()[1].startswith(f"{name} ")
    (row,) = json.loads(run_meshctl(daemon, *stats, "--where", f"{what}={name}", "--json").stdout)["data"]
    assert row["requests_total"] == 1
    asked = run_meshctl(daemon, *stats, "--where", f"{what}=größer")
    assert "größer" in asked.stderr
    assert name in asked.stderr


def test_a_report_has_them(daemon: Any, run_meshctl: Any) -> None:
    told = run_meshctl(daemon, "report", "--month", "this", "--json").stdout
    page = run_meshctl(daemon, "report", "--month", "this", "--output", "-").stdout
    for what in ("project", "agent"):
        assert NAMES[what] in told
        assert NAMES[what] in page
