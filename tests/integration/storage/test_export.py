"""`meshctl state` moves spend and decisions from one daemon to another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemons.daemon import Daemon
from tests.support.processes.meshctl import run

CONFIG = {
    "providers": {
        "p": {
            "connector": "modelmesh.scripted.v1",
            "script": [{"reply": "hello"}],
            "cycle": True,
            "pricing": {"per_request": 0.25},
            "budget": {"daily_limit": 5},
        }
    },
    "models": {"p.chat": {"provider": "p", "capabilities": ["chat-completion"]}, "p.old": {"provider": "p"}},
    "pools": {"chat": {"models": ["p.chat", "p.old"]}},
}


def budget(daemon: Daemon) -> float:
    return float(daemon.ask("GET", "/mesh/v1/budget")["data"][0]["spent"])


def test_a_state_is_moved_to_another_daemon(meshd: Any, tmp_path: Path) -> None:
    first, second = meshd(CONFIG), meshd(CONFIG)
    first.say(model="p.chat")
    first.ask("POST", "/mesh/v1/models/deactivate", {"id": "p.old", "reason": "too old"})
    file = tmp_path / "state.json"
    done = run("state", "export", str(file), MESH_SOCKET=str(first.socket))
    assert done.returncode == 0, done.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    assert "hello" not in file.read_text()
    done = run("state", "import", input=file.read_text(), MESH_SOCKET=str(second.socket))
    assert done.returncode == 0, done.stderr
    assert budget(second) == pytest.approx(0.25)
    assert second.model("p.old")["status"] == "standby"
    piped = run("state", "export", MESH_SOCKET=str(second.socket))
    assert json.loads(piped.stdout)["version"] == 1


def test_what_is_no_state_is_refused(meshd: Any, tmp_path: Path) -> None:
    daemon = meshd(CONFIG)
    file = tmp_path / "x.json"
    for text, said in (("[]", "is not an exported state"), ("{", "is not an exported state"), ("{}", "cannot be")):
        file.write_text(text)
        done = run("state", "import", str(file), MESH_SOCKET=str(daemon.socket))
        assert done.returncode == 1
        assert said in done.stderr
    absent = run("state", "import", str(tmp_path / "absent"), MESH_SOCKET=str(daemon.socket))
    assert (absent.returncode, "cannot be read" in absent.stderr) == (1, True)
    there = run("state", "export", "/proc/none/x", MESH_SOCKET=str(daemon.socket))
    assert (there.returncode, "cannot be written" in there.stderr) == (1, True)
