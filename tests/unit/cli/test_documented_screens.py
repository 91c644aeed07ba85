"""The screens that docs/operating.md shows are what is printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

DOCUMENT = Path(__file__).parents[3] / "docs/operating.md"
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
            | {"reason": "its key is refused: Invalid API Key; tried again in 4 min"},
        ],
        "pools": [{"name": "chat-completion", "active": 4, "standby": 4, "current": "openai.gpt-4o-mini"}],
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


@pytest.mark.parametrize("command", ["status", "events"])
def test_a_documented_screen_is_what_is_printed(fake: Any, meshctl: Any, command: str) -> None:
    fake.answers.update({f"GET {path}": answer for path, answer in ANSWERS.items()})
    printed = meshctl(command).stdout.rstrip()
    found = re.search(rf"```console\n\$ meshctl {command}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert found is not None, f"```console\n$ meshctl {command}\n{printed}\n```"
    assert timeless(found[1]) == timeless(printed)


def timeless(text: str) -> list[str]:
    """Its words, but for what a clock and a calendar say."""
    return re.sub(r"\d{4}-\d\d-\d\d |\d\d:\d\d:\d\d", "", text).split()
