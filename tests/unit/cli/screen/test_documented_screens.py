"""The screens that docs/operating.md shows are what is printed."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from meshd.cli.screen import output as out
from meshd.cli.setup.diagnosis import checks, doctor
from modelmesh.version import VERSION

DOCUMENT = Path(__file__).parents[4] / "docs/operating.md"
AT = 1_796_000_000
PROVIDER = {"enabled": True, "available": True, "key": "accepted", "reason": "", "score": 1.0, "models": 4}
ANSWERS: dict[str, Any] = {
    "status": {
        "version": "0.1.0",
        "pid": 4242,
        "uptime": 3725.0,
        "sockets": ["ipc:///run/meshd/mesh.sock"],
        "config": {"source": "/etc/meshd/mesh.yaml", "generation": 1},
        "state": {"ok": True, "error": "", "directory": "/var/lib/meshd"},
        "in_flight": 2,
        "peers": 5,
        "requests": {"total": 1204, "failed": 3},
        "spend_today": 0.42,
        "providers": [
            PROVIDER | {"name": "openai"},
            PROVIDER
            | {"name": "groq", "available": False, "key": "refused", "score": 0.2}
            | {"reason": "its key is refused: Invalid API Key", "said": "Invalid API Key"},
        ],
        "pools": [{"name": "chat-completion", "active": 4, "standby": 4, "current": "openai.gpt-4o-mini"}],
    },
    "clients": {
        "data": [
            {"pid": 2101, "user": "ada", "program": "/usr/bin/python3", "says": {"script": "mail.py"}}
            | {"unit": "mail.service", "since": AT, "requests": 812, "cost": 0.31, "in_flight": 2},
            {"pid": 3417, "user": "ada", "program": "/usr/bin/meshctl", "unit": "", "since": AT, "requests": 1}
            | {"cost": 0, "in_flight": 0},
        ]
    },
    "events?limit=50": {
        "data": [
            {
                "type": "provider_deactivated",
                "at_ns": AT * 10**9,
                "severity": "warning",
                "ids": {"provider": "groq"},
                "reason": "its key is refused: Invalid API Key",
                "changed": {"until": AT + 240.0},
            }
        ]
    },
}


def examined() -> Any:
    """What doctor looks at in a running daemon, found in the answers above."""
    status = ANSWERS["status"]
    shown = {row["name"]: row for row in status["providers"]}
    probed = [
        {"provider": "openai", "ok": True, "latency": 0.31},
        {"provider": "groq", "ok": False, "kind": "authentication", "error": "Invalid API Key"},
    ]
    yield from checks.version(status | {"version": VERSION})
    yield from checks.daemon_health(status)
    yield from checks.providers(probed, shown)
    yield from checks.pools(status["pools"], {"groq"})


@pytest.mark.parametrize("command", ["status", "events", "clients", "doctor"])
def test_a_documented_screen_is_what_is_printed(
    fake: Any, meshctl: Any, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: AT + 240.0)
    if command == "doctor":
        monkeypatch.setattr(doctor, "examine", examined)
        monkeypatch.setattr(out, "on_terminal", lambda: True)  # in a pipe, words stand for the marks
    fake.answers.update({f"GET {path}": answer for path, answer in ANSWERS.items()})
    printed = meshctl(command).stdout.rstrip()
    found = re.search(rf"```console\n\$ meshctl {command}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert found is not None, f"```console\n$ meshctl {command}\n{printed}\n```"
    assert timeless(found[1]) == timeless(printed)


def timeless(text: str) -> list[str]:
    """Its words, but for what a clock and a calendar say."""
    return re.sub(r"\d{4}-\d\d-\d\d |\d\d:\d\d:\d\d", "", text).split()
