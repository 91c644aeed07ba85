"""A provider that is there and fails every request: `doctor`, `status` and `models` say so, until it answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelmesh import MeshError


def test_what_fails_is_told_until_it_answers(meshd: Any, upstream: Any, run_meshctl: Any) -> None:
    server = upstream([{"error": 500, "message": "boom"}])
    off = {"enabled": False}
    daemon = meshd(
        {
            "providers": {"p": server.provider()},
            "models": {"p.m": {"provider": "p", "capabilities": ["chat-completion"]}},
            "pools": {"chat": {"models": ["p.m"], "retry": {"max_attempts": 1}, "deactivation": {"retry_limit": 99}}},
            "discovery": {"health": off, "sync": off, "local": off},
        }
    )
    before = run_meshctl(daemon, "doctor")
    assert "ok pool chat: 1 active" in before.stdout
    with pytest.raises(MeshError):
        daemon.say(model="chat")
    checks = {row["subject"]: row for row in json.loads(run_meshctl(daemon, "doctor", "--json").stdout)["checks"]}
    assert checks["model p.m"]["level"] == "problem"
    assert ": boom" in checks["model p.m"]["message"]
    assert "pool chat" not in checks, "its only model has a line"
    told = run_meshctl(daemon, "doctor").stdout
    assert "no problems found" not in told
    assert "problem model p.m: its last request failed" in told
    shown = run_meshctl(daemon, "status").stdout
    assert "! model p.m: its last request failed" in shown
    assert ": boom" in run_meshctl(daemon, "models").stdout
    server.play([{"reply": "hi"}])
    daemon.say(model="chat")
    assert daemon.status()["failing"] == []
    assert "model p.m" not in run_meshctl(daemon, "doctor").stdout
    assert "! model" not in run_meshctl(daemon, "status").stdout


def test_a_daemon_without_a_model_has_something_to_look_at(meshd: Any, run_meshctl: Any) -> None:
    off = {"enabled": False}
    daemon = meshd({"providers": {}, "discovery": {"health": off, "sync": off, "local": off}})
    assert "! no model was found, so nothing can be asked" in run_meshctl(daemon, "status").stdout
    assert "problem pools: none" in run_meshctl(daemon, "doctor").stdout


@pytest.mark.parametrize(("error", "told"), [(500, True), (429, False), (400, False)])
def test_what_passes_by_itself_is_not_a_failing_and_a_restart_forgets_nothing(
    meshd: Any, upstream: Any, error: int, told: bool
) -> None:
    off = {"enabled": False}
    daemon = meshd(
        {
            "providers": {"p": upstream([{"error": error, "message": "boom"}]).provider()},
            "models": {"p.m": {"provider": "p"}},
            "pools": {"chat": {"models": ["p.m"], "retry": {"max_attempts": 1}}},
            "discovery": {"health": off, "sync": off, "local": off},
        }
    )
    with pytest.raises(MeshError):
        daemon.say(model="chat", timeout=5)
    [since] = [row["failing_since"] for row in daemon.status()["failing"]] or [None]
    assert (since is not None) is told
    daemon.stop()
    daemon.start()
    assert daemon.model("p.m")["failing_since"] == (pytest.approx(since, abs=1) if told else None)
