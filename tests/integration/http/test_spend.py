"""A real daemon: spend by project, agent, session and label, of clients over HTTP and the socket, and who sees it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.meshctl import run
from tests.support.providers.keyed_provider import KeyedProvider

OVER_HTTP = """
import json, sys, urllib.request
headers = {"content-type": "application/json", **json.loads(sys.argv[2])}
body = json.dumps({"model": "chat", "messages": [{"role": "user", "content": "hi"}]}).encode()
urllib.request.urlopen(urllib.request.Request(sys.argv[1] + "/v1/chat/completions", body, headers)).read()
"""
OVER_THE_SOCKET = """
import sys
from modelmesh import OpenAIClient
with OpenAIClient(sys.argv[1], app="nightly") as client:
    client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "hi"}])
"""


@pytest.fixture(scope="module")
def provider() -> Iterator[KeyedProvider]:
    made = KeyedProvider("key-number-one", delay=0.0)
    yield made
    made.close()


@pytest.fixture(scope="module")
def daemon(module_meshd: Any, provider: KeyedProvider) -> Any:
    return module_meshd(
        {
            "providers": {"keyed": provider.provider(api_keys=["key-number-one"])},
            "models": {"keyed.m": {"provider": "keyed", "model": "m", "capabilities": ["chat-completion"]}},
            "pools": {"chat": {"models": ["keyed.m"]}},
            "proxy": {"enabled": True, "port": "auto"},
            "discovery": {"health": {"enabled": False}, "sync": {"enabled": False}, "local": {"enabled": False}},
        }
    )


@pytest.fixture(scope="module")
def asked(daemon: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Requests from a repository and from elsewhere; the repository's directory."""
    top = tmp_path_factory.mktemp("work")
    api, elsewhere = top / "api", top / "elsewhere"
    (api / ".git").mkdir(parents=True)
    elsewhere.mkdir()
    url = daemon.status()["http"]["addresses"][0]
    agent = {"user-agent": "claude-cli/2.1.0 (external, cli)", "x-claude-code-session-id": "one"}
    named = {"mesh-project": "web", "mesh-agent": "robot", "mesh-session": "two", "mesh-label": "nightly"}
    for code, target, headers, where in (
        (OVER_HTTP, url, agent, api),
        (OVER_HTTP, url, named, api),
        (OVER_HTTP, url, {}, elsewhere),
        (OVER_THE_SOCKET, str(daemon.socket), {}, api),
    ):
        subprocess.run([sys.executable, "-c", code, target, json.dumps(headers)], cwd=where, check=True, timeout=60)
    return api


def counted(daemon: Any, by: str, *more: str) -> dict[str, int]:
    found = json.loads(run("stats", "--by", by, "--json", *more, MESH_SOCKET=str(daemon.socket)).stdout)
    return {row["name"]: row["requests_total"] for row in found["data"]}


def test_by_what_requests_were_for(daemon: Any, asked: Path) -> None:
    by_project = counted(daemon, "project")
    [here] = [name for name in by_project if name.endswith("/api")]
    assert by_project == {here: 2, "web": 1, "": 1}
    assert counted(daemon, "agent") == {"": 2, "claude-code": 1, "robot": 1}
    assert counted(daemon, "session") == {"": 2, "one": 1, "two": 1}
    assert counted(daemon, "label") == {"nightly": 2, "": 2}
    assert counted(daemon, "app", "--where", "project=web") != {}


def test_as_csv(daemon: Any, asked: Path) -> None:
    printed = run("stats", "--by", "project,agent", "--format", "csv", MESH_SOCKET=str(daemon.socket)).stdout
    rows = list(csv.DictReader(printed.splitlines()))
    assert {row["agent"]: row["requests_total"] for row in rows if row["project"] == "web"} == {"robot": "1"}


def test_the_report_of_this_month(daemon: Any, asked: Path) -> None:
    document = run("report", "--output", "-", MESH_SOCKET=str(daemon.socket)).stdout
    assert document.startswith("<!doctype html>")
    for name in ("web", "claude-code", "keyed.m", "nightly"):
        assert f">{name}<" in document
