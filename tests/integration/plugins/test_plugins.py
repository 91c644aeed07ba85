"""The package of docs/connectors.md, installed into a fresh environment, in use by a daemon."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from modelmesh import AccessDeniedError
from tests.support.daemons.daemon import Daemon
from tests.support.daemons.pool_rule_cases import events
from tests.support.waiting import until

from .environment import ACME, RUDE, fresh_environment

KINDS = {
    "acme.parrot.v1": "provider",
    "acme.heaviest-first.v1": "rotation",
    "acme.ini.v1": "secret-store",
    "acme.folder.v1": "storage",
    "acme.lines.v1": "observability",
    "acme.server-list.v1": "discovery",
    "acme.word-guard.v1": "hook",
}
WITHOUT = {
    "providers": {"plain": {"connector": "modelmesh.scripted.v1", "script": [{"reply": "plain"}]}},
    "models": {"plain.chat": {"provider": "plain", "capabilities": ["chat-completion"]}},
    "pools": {"chat": {"models": ["plain.chat"]}},
    "discovery": {"local": {"enabled": False}},
}


@pytest.fixture(scope="module")
def python(module_short: Path) -> Path:
    return fresh_environment(module_short / "venv", ACME, RUDE)


@pytest.fixture
def place(short: Path) -> Path:
    """Stands for /etc/acme."""
    (short / "keys.ini").write_text("[secrets]\nPARROT_KEY = cracker\n")
    (short / "servers.txt").write_text("")
    return short


def with_acme(place: Path) -> str:
    return (ACME / "mesh.yaml").read_text("utf-8").replace("/etc/acme", str(place))


def meshctl(python: Path, daemon: Daemon, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(python), "-m", "meshd.cli", *arguments],
        env={
            "HOME": str(daemon.directory),
            "MESH_SOCKET": str(daemon.socket),
            "PATH": "/usr/bin:/bin",
            "COLUMNS": "200",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def text_of(answer: Any) -> str:
    return str(answer.choices[0].message.content)


def test_a_daemon_runs_connectors_of_every_kind(python: Path, place: Path, meshd: Any, upstream: Any) -> None:
    server = upstream([{"reply": "from the server that was found"}])
    (place / "servers.txt").write_text(f"lan {server.url}/v1 big\n")
    daemon = meshd(with_acme(place), python=str(python))

    assert text_of(daemon.say("hello", "chat")) == "Ahoy from macaw: hello"  # of the largest weight
    chunks = list(daemon.say("one two", "parrot.grey", stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Ahoy from grey: one two "
    with pytest.raises(AccessDeniedError, match="may not leave this machine"):
        daemon.say("the password is Swordfish", "chat")
    until(lambda: "lan.big" in [model["id"] for model in daemon.ask("GET", "/mesh/v1/models")["data"]])
    assert text_of(daemon.say("hi", "lan.big")) == "from the server that was found"

    written = place / "events.txt"
    until(lambda: written.exists() and "found lan at" in written.read_text(), what="the sink has the event")
    assert daemon.stop() == 0
    assert [file.name for file in (place / "state").iterdir()] != []

    daemon.start()  # with the state that the storage kept
    assert text_of(daemon.say("again", "chat")) == "Ahoy from macaw: again"


def test_reloads_to_and_from_them(python: Path, place: Path, meshd: Any) -> None:
    daemon = meshd(WITHOUT, python=str(python))
    assert text_of(daemon.say("a", "chat")) == "plain"
    daemon.write(with_acme(place))
    assert daemon.ask("POST", "/mesh/v1/reload")["ok"]
    assert text_of(daemon.say("b", "chat")) == "Ahoy from macaw: b"
    daemon.write(WITHOUT)
    assert daemon.ask("POST", "/mesh/v1/reload")["ok"]
    assert text_of(daemon.say("c", "chat")) == "plain"


def test_meshctl_knows_them(python: Path, place: Path, meshd: Any) -> None:
    daemon = meshd(with_acme(place), python=str(python))
    listed = json.loads(meshctl(python, daemon, "connectors", "--json").stdout)
    acme = {row["id"]: row["type"] for row in listed["data"] if row["package"] == "acme-connectors"}
    assert acme == KINDS
    assert [fault["id"] or fault["message"] for fault in listed["left_out"]] == [
        "the package rude-connectors offers connectors, but rude_connectors.nowhere:CONNECTORS cannot be read: "
        "ModuleNotFoundError: No module named 'rude_connectors.nowhere'",
        "modelmesh.sqlite.v1",
    ]
    shown = meshctl(python, daemon, "connectors", "acme.parrot.v1").stdout
    assert "acme-connectors" in shown
    assert "How it begins." in shown
    assert "of the package acme-connectors" in meshctl(python, daemon, "connectors", "--type", "rotation").stdout
    assert "acme.heaviest-first.v1" in meshctl(python, daemon, "pools", "chat").stdout
    said = " ".join(meshctl(python, daemon, "doctor").stdout.split())
    assert "package acme-connectors: offers acme.parrot.v1" in said
    assert "RudeStorage" not in said
    assert "offers the storage modelmesh.sqlite.v1, but meshd itself already has modelmesh.sqlite.v1" in said
    assert "rude_connectors.kinds:Unfinished does not define order" in said
    assert "→ update or uninstall rude-connectors" in said


RUDE_ALL = {
    **WITHOUT,
    "secrets": {"store": ["rude.secrets.v1", "modelmesh.env.v1"]},
    "providers": {
        "plain": {**WITHOUT["providers"]["plain"], "headers": {"X-Key": "${secrets:PLAIN_KEY}"}},
        "rude": {"connector": "rude.provider.v1"},
    },
    "models": {**WITHOUT["models"], "rude.chat": {"provider": "rude", "capabilities": ["chat-completion"]}},
    "pools": {"chat": {"models": ["rude.chat", "plain.chat"], "strategy": "rude.strategy.v1"}},
    "storage": {"connector": "rude.storage.v1"},
    "observability": {"routing": {"connector": "rude.sink.v1"}},
    "discovery": {"local": {"enabled": False}, "connector": "rude.discovery.v1"},
}


def test_what_they_do_wrong_stays_with_them(python: Path, meshd: Any) -> None:
    daemon = meshd(RUDE_ALL, python=str(python), env={"PLAIN_KEY": "k"})
    assert text_of(daemon.say("a", "chat")) == "plain"
    said = (
        "rude.strategy.v1 cannot order chat (ZeroDivisionError: no order today); modelmesh.stick-until-failure.v1 "
        "does, until the configuration is loaded again"
    )
    assert daemon.log().count(said) == 1
    (event,) = until(lambda: events(daemon, "strategy_set_aside", pool="chat"))
    assert (event["reason"], event["severity"]) == (said, "error")
    assert text_of(daemon.say("b", "chat")) == "plain"
    assert daemon.ask("GET", "/mesh/v1/providers")["data"]
    assert all(actor["alive"] and not actor["restarts"] for actor in daemon.status()["actors"])
    assert "swordfish" not in daemon.log()
    assert daemon.stop() == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"storage": {"connector": "rude.absent.v1"}},
            "storage.connector: the storage rude.absent.v1 of the package rude-connectors cannot be loaded: Attribute",
        ),
        ({"pools": {"chat": {"models": ["plain.chat"], "strategy": "rude.unfinished.v1"}}}, "does not define order"),
        ({"storage": {"connector": "rude.nowhere.v1"}}, "rude_connectors.nowhere:CONNECTORS cannot be read"),
        ({"discovery": {"connector": "modelmesh.registry-sync.v1"}}, "always in use; `discovery.sync` configures"),
    ],
)
def test_validation_refuses_what_could_not_run(python: Path, meshd: Any, change: dict[str, Any], said: str) -> None:
    daemon = meshd({**WITHOUT, **change}, python=str(python), start=False)
    checked = meshctl(python, daemon, "config", "validate", str(daemon.config))
    assert checked.returncode != 0
    assert said in " ".join((checked.stdout + checked.stderr).split())
