"""Commands that only look: what they ask the daemon, what they print, and that --json is the answer as it came."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from meshd.cli.screen.cells import width_of

STATUS = {
    "version": "0.1.0",
    "pid": 42,
    "uptime": 3725.0,
    "instance": "i",
    "sockets": ["/run/meshd/mesh.sock"],
    "config": {"source": "/etc/meshd/mesh.yaml", "generation": 3},
    "state": {"ok": True, "error": "", "directory": "/var/lib/meshd"},
    "actors": [{"name": "router", "alive": True, "restarts": 0, "last_error": ""}],
    "in_flight": 2,
    "peers": 5,
    "draining": False,
    "providers": [
        {
            "name": "openai",
            "connector": "openai.llm.v1",
            "available": False,
            "reason": "401",
            "score": 0.25,
            "models": 7,
        }
    ],
    "pools": [{"name": "chat-completion", "active": 1, "standby": 2}],
    "last_reload": {"ok": True, "changes": ["a"], "problems": [], "at": 0, "duration": 0.01},
    "spend_today": 0.0123,
    "requests": {"total": 1204, "failed": 3},
    "malformed": 0,
    "notes": ["provider groq is disabled: no key"],
}
POOL = {
    "name": "chat-completion",
    "capability": "generation.text-generation.chat-completion",
    "strategy": "modelmesh.round-robin.v1",
    "active": 1,
    "standby": 1,
    "current": "a.one",
    "models": [
        {"id": "a.one", "provider": "a", "status": "active", "reason": "", "recovers_in": None, "failures": 0},
        {"id": "b.two", "provider": "b", "status": "standby", "reason": "3 failures", "recovers_in": 42, "failures": 3},
    ],
}
MODEL = {
    "id": "a.one",
    "provider": "a",
    "model": "one",
    "capabilities": ["chat-completion"],
    "features": {"vision": True, "tool_calling": False},
    "context_window": 8192,
    "max_output_tokens": None,
    "pools": ["chat-completion"],
    "status": "active",
    "reason": "",
    "in_flight": 0,
    "requests": 10,
    "failures": 1,
    "tokens_in": 100,
    "tokens_out": 200,
    "cost": 0.5,
    "latency": {"average": 1.0, "p50": 0.9, "p95": 2.0},
    "first_token": {"average": None, "p50": None, "p95": None},
    "last_request": None,
    "last_failure": None,
}
PROVIDER = {
    "name": "a",
    "connector": "openai.llm.v1",
    "base_url": "https://a.example/v1",
    "enabled": True,
    "available": True,
    "auth_valid": True,
    "key": "accepted",
    "reason": "",
    "score": 1.0,
    "last_probe": None,
    "latency": 0.2,
    "models": 4,
    "in_flight": 0,
    "requests": 10,
    "cost": 0.5,
    "details": {"requests_left": 99},
}
STATISTIC = {
    "name": "a.one",
    "requests_total": 10,
    "requests_failed": 1,
    "tokens_in": 5,
    "cost_total": 1.5,
    "latency_p50": 0.2,
}


def test_status(fake: Any, meshctl: Any) -> None:
    fake.answers["GET status"] = STATUS
    shown = meshctl("status")
    assert shown.exit_code == 0
    for text in (
        "meshd 0.1.0, up 1 h 2 m",
        "generation 3",
        "1,204, 3 failed, 2 in flight",
        "$0.0123",
        "away",
        "401",
        "note: provider groq",
    ):
        assert text in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert "\x1b" not in shown.stdout
    assert json.loads(meshctl("status", "--json").stdout) == STATUS
    fake.answers["GET status"] = STATUS | {"compiled": True}
    assert "meshd 0.1.0 (compiled), up 1 h 2 m" in meshctl("status").stdout


def test_status_says_what_is_wrong(fake: Any, meshctl: Any) -> None:
    problem = {"path": "pools.chat", "file": "mesh.yaml", "line": 7, "message": "unknown key", "suggestion": "retry"}
    fake.answers["GET status"] = STATUS | {
        "state": {"ok": False, "error": "disk full", "directory": "/x"},
        "last_reload": {"ok": False, "changes": [], "problems": [problem], "at": 0},
        "draining": True,
        "pools": [],
    }
    shown = " ".join(meshctl("status").stdout.split())
    for text in (
        "disk full (/x): still serving",
        'mesh.yaml:7: pools.chat: unknown key; did you mean "retry"?',
        "draining",
        "no pools",
    ):
        assert text in shown


@pytest.mark.parametrize("many", [0, 1, 3, 9, 60])
@pytest.mark.parametrize("broken", [0, 1, 60])
def test_status_fits_one_screen_and_says_what_it_left_out(fake: Any, meshctl: Any, many: int, broken: int) -> None:
    reason = "its key is refused: Incorrect API key provided. You can find your API key at https://a.example/keys. " * 2
    fake.answers["GET status"] = STATUS | {
        "pools": [
            {"name": f"pool-{n}-模型" * (1 + n % 3), "active": int(n >= broken), "standby": 1, "current": "m" * 40}
            for n in range(many)
        ],
        "providers": [
            PROVIDER | {"name": f"p{n}"} | ({"available": False, "reason": reason} if n < broken else {})
            for n in range(many)
        ],
        "notes": [],
    }
    short, whole = meshctl("status").stdout, meshctl("status", "--all").stdout
    assert len(short.splitlines()) <= 23
    for shown in (short, whole):
        assert max(map(width_of, shown.splitlines())) <= 80
    for left_out in ("pools", "providers"):
        listed = len(re.findall(r"^pool-" if left_out == "pools" else r"^p\d+ ", short, re.MULTILINE))
        assert (f"and {many - listed} more: meshctl {left_out}" in short) == (listed < many)
    if many:
        assert f"p{many - 1} " in whole
        if broken:
            assert "key is refused" in "".join(short.split("socket")[0])


def test_a_daemon_of_another_version_may_lack_anything(fake: Any, meshctl: Any) -> None:
    fake.answers["GET status"] = {}
    assert meshctl("status").exit_code == 0


def test_pools(fake: Any, meshctl: Any) -> None:
    fake.answers["GET pools"] = {"data": [POOL]}
    fake.answers["GET pools/chat-completion"] = POOL
    assert "a.one  round-robin" in meshctl("pools").stdout
    shown = meshctl("pools", "chat-completion").stdout
    assert "3 failures" in shown
    assert "42.0 s" in shown
    assert json.loads(meshctl("pools", "--json").stdout) == {"data": [POOL]}
    assert json.loads(meshctl("pools", "chat-completion", "--json").stdout) == POOL


def test_models(fake: Any, meshctl: Any) -> None:
    fake.answers["GET models"] = {"data": [MODEL]}
    fake.answers["GET models?id=a.one"] = {"data": [MODEL]}
    assert "900 ms" in meshctl("models").stdout
    shown = meshctl("models", "a.one").stdout
    for text in ("8,192", "vision", "p50 900 ms, p95 2.0 s", "10, 1 failed"):
        assert text in shown
    assert "tool_calling" not in shown
    assert json.loads(meshctl("models", "a.one", "--json").stdout) == MODEL


def test_providers(fake: Any, meshctl: Any) -> None:
    fake.answers["GET providers"] = {"data": [PROVIDER]}
    fake.answers["GET providers?name=a"] = {"data": [PROVIDER]}
    fake.answers["GET providers?name=b"] = {"data": []}
    assert "openai.llm.v1" in meshctl("providers").stdout
    shown = meshctl("providers", "a").stdout
    assert "accepted" in shown
    assert "requests left" in shown
    assert json.loads(meshctl("providers", "--json").stdout) == {"data": [PROVIDER]}
    unknown = meshctl("providers", "b")
    assert unknown.exit_code == 1
    assert "'b'" in unknown.stderr


@pytest.mark.parametrize("command", ["pools", "models", "providers"])
def test_nothing_there_yet(fake: Any, meshctl: Any, command: str) -> None:
    fake.answers[f"GET {command}"] = {"data": []}
    fake.answers["GET config"] = {"config": {}}
    shown = meshctl(command)
    assert (shown.exit_code, "meshctl pull" in shown.stdout) == (0, True)


def test_stats(fake: Any, meshctl: Any) -> None:
    answer = {"by": "pool", "since": 86400, "data": [STATISTIC]}
    fake.answers["GET stats?by=pool&since=86400.0"] = answer
    fake.answers["GET stats?by=model"] = {"data": []}
    shown = meshctl("stats", "--by", "pool", "--since", "24h").stdout
    assert "$1.50" in shown
    assert json.loads(meshctl("stats", "--by", "pool", "--since", "1d", "--json").stdout) == answer
    assert "no requests yet" in meshctl("stats").stdout
    assert meshctl("stats", "--since", "soon").exit_code == 2
    assert meshctl("stats", "--by", "colour").exit_code == 2


def test_providers_that_are_switched_off_are_named(fake: Any, meshctl: Any) -> None:
    fake.answers["GET providers"] = {"data": []}
    fake.answers["GET config"] = {"config": {"providers": {"a": {"enabled": False}, "b": {"enabled": False}}}}
    assert "switched off by `enabled: false`: a, b" in " ".join(meshctl("providers").output.split())
    fake.answers["GET config"] = {"config": {}}
    assert "set a key" in meshctl("providers").output
