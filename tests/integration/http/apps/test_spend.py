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

from tests.support.processes.meshctl import run
from tests.support.providers.credentials.keyed_provider import KeyedProvider
from tests.support.waiting import until

OVER_HTTP = """
import json, sys, urllib.request
headers = {"content-type": "application/json", **json.loads(sys.argv[2])}
body = json.dumps({"model": "chat", "messages": [{"role": "user", "content": "hi"}]}).encode()
for _ in sys.stdin:
    urllib.request.urlopen(urllib.request.Request(sys.argv[1] + "/v1/chat/completions", body, headers)).read()
    print("asked", flush=True)
"""
OVER_THE_SOCKET = """
import sys
from modelmesh import OpenAIClient
with OpenAIClient(sys.argv[1], app="nightly") as client:
    for _ in sys.stdin:
        client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "hi"}])
        print("asked", flush=True)
"""


class Client:
    """A program that asks when it is told to, and stays: a process that has ended cannot be looked at."""

    def __init__(self, code: str, target: str, headers: dict[str, str], where: Path) -> None:
        words = [sys.executable, "-c", code, target, json.dumps(headers)]
        self.process = subprocess.Popen(
            words, cwd=where, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def ask(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("ask\n")
        assert self.process.stdout.readline() == "asked\n"

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def daemon(module_meshd: Any, keyed: KeyedProvider) -> Any:
    return module_meshd(
        {
            "providers": {"keyed": keyed.provider(api_keys=["key-number-one"])},
            "models": {"keyed.m": {"provider": "keyed", "model": "m", "capabilities": ["chat-completion"]}},
            "pools": {"chat": {"models": ["keyed.m"]}},
            "proxy": {"enabled": True, "port": "auto"},
            "discovery": {"health": {"enabled": False}, "sync": {"enabled": False}, "local": {"enabled": False}},
        }
    )


@pytest.fixture(scope="module")
def asked(daemon: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Requests from a repository and from elsewhere."""
    top = tmp_path_factory.mktemp("work")
    api, elsewhere = top / "api", top / "elsewhere"
    (api / ".git").mkdir(parents=True)
    elsewhere.mkdir()
    url = daemon.status()["http"]["addresses"][0]
    agent = {"user-agent": "claude-cli/2.1.0 (external, cli)", "x-claude-code-session-id": "one"}
    named = {"mesh-project": "web", "mesh-agent": "robot", "mesh-session": "two", "mesh-label": "nightly"}
    clients = [
        Client(OVER_HTTP, url, agent, api),
        Client(OVER_THE_SOCKET, str(daemon.socket), {}, api),
        Client(OVER_HTTP, url, named, api),
        Client(OVER_HTTP, url, {}, elsewhere),
    ]
    try:
        for client in clients:
            client.ask()
        for client, by in zip(clients, ("agent=claude-code", "agent="), strict=False):
            until(lambda client=client, by=by: in_the_repository(daemon, by) or client.ask())
        yield
    finally:
        for client in clients:
            client.close()


def in_the_repository(daemon: Any, where: str) -> bool:
    """A machine under load may take too long to look at a process, so this is asked again."""
    return any(name.endswith("/api") for name in counted(daemon, "project", "--where", where))


def counted(daemon: Any, by: str, *more: str) -> dict[str, int]:
    found = json.loads(run("stats", "--by", by, "--json", *more, MESH_SOCKET=str(daemon.socket)).stdout)
    return {row["name"]: row["requests_total"] for row in found["data"]}


@pytest.mark.usefixtures("asked")
def test_by_what_requests_were_for(daemon: Any) -> None:
    by_project = counted(daemon, "project")
    [here] = [name for name in by_project if name.endswith("/api")]
    assert set(by_project) == {here, "web", ""}
    assert by_project[here] >= 2
    assert by_project["web"] == 1
    assert set(counted(daemon, "agent")) == {"", "claude-code", "robot"}
    assert set(counted(daemon, "session")) == {"", "one", "two"}
    assert counted(daemon, "session", "--where", "project=web") == {"two": 1}
    assert set(counted(daemon, "label")) == {"nightly", ""}
    assert counted(daemon, "app", "--where", "project=web") != {}


@pytest.mark.usefixtures("asked")
def test_as_csv(daemon: Any) -> None:
    printed = run("stats", "--by", "project,agent", "--format", "csv", MESH_SOCKET=str(daemon.socket)).stdout
    rows = list(csv.DictReader(printed.splitlines()))
    assert {row["agent"]: row["requests_total"] for row in rows if row["project"] == "web"} == {"robot": "1"}


@pytest.mark.usefixtures("asked")
def test_the_report_of_this_month(daemon: Any) -> None:
    document = run("report", "--output", "-", MESH_SOCKET=str(daemon.socket)).stdout
    assert document.startswith("<!doctype html>")
    for name in ("web", "claude-code", "keyed.m", "nightly"):
        assert f">{name}<" in document
