"""Configurations for the tests of pools' rules: a pool with providers of its own for each case, in one daemon.

Every model is a provider's only one, and all providers are one scripted upstream, which tells models apart by name.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

MESSAGES = [{"role": "user", "content": "hi"}]


class Cases:
    """`config` and `script` grow with each model and pool."""

    def __init__(self, server: Any, **sections: Any) -> None:
        self.server = server
        self.script: dict[str, list[dict[str, Any]]] = {}
        self.config: dict[str, Any] = {
            "providers": {},
            "models": {},
            "pools": {},
            "discovery": {"health": {"enabled": False}, "sync": {"enabled": False}, "local": {"enabled": False}},
            **sections,
        }

    def model(self, id: str, *steps: dict[str, Any], provider: dict[str, Any] | None = None, **settings: Any) -> str:
        """Its steps, of which the last stays. provider: settings of its provider, `p-ID`."""
        self.script[id] = list(steps) or [{"reply": f"from {id}"}]
        self.config["providers"][f"p-{id}"] = self.server.provider(**(provider or {}))
        self.config["models"][id] = {
            "provider": f"p-{id}",
            "model": id,
            "capabilities": ["chat-completion"],
            **settings,
        }
        return id

    def pool(self, name: str, *models: str, **settings: Any) -> None:
        self.config["pools"][name] = {"models": list(models), **settings}

    def case(self, name: str, *steps: dict[str, Any], provider: dict[str, Any] | None = None, **settings: Any) -> None:
        """A pool of a model NAME-a that follows the steps and comes first whenever it may, and a NAME-b that always
        answers. One attempt at each, and one failure sets aside, unless `settings` say otherwise."""
        first, second = self.model(f"{name}-a", *steps, provider=provider), self.model(f"{name}-b")
        rules = {"strategy": "priority-selection", "model_priority": [first, second], "retry": {"max_attempts": 1}}
        self.pool(name, first, second, **(rules | {"deactivation": {"retry_limit": 1}} | settings))

    def play(self) -> None:
        self.server.play({"script": self.script})


def member(daemon: Any, pool: str, model: str) -> dict[str, Any]:
    """A row of the pool's models."""
    row: dict[str, Any] = next(
        each for each in daemon.ask("GET", f"/mesh/v1/pools/{pool}")["models"] if each["id"] == model
    )
    return row


def provider(daemon: Any, name: str) -> dict[str, Any]:
    [row] = (each for each in daemon.ask("GET", "/mesh/v1/providers")["data"] if each["name"] == name)
    return dict(row)


def events(daemon: Any, type: str, **ids: str) -> list[dict[str, Any]]:
    """Those of a type that concern all of these, the oldest first."""
    found = daemon.ask("GET", f"/mesh/v1/events?type={type}&limit=1000")["data"]
    return [event for event in found if all(event["ids"].get(key) == value for key, value in ids.items())]


def explain(daemon: Any, model: str, **body: Any) -> Any:
    return daemon.ask("POST", "/mesh/v1/explain", {"model": model, "messages": MESSAGES, **body})


def limit(rows: list[dict[str, Any]], **wanted: Any) -> dict[str, Any]:
    """The one row among limits or budgets that has these values."""
    [row] = (row for row in rows if all(row[key] == value for key, value in wanted.items()))
    return row


def meshctl(daemon: Any, *words: str) -> Any:
    """What it prints with `--json`."""
    found = subprocess.run(
        [sys.executable, "-m", "meshd.cli", *words, "--json"],
        env={**os.environ, "MESH_SOCKET": str(daemon.socket)}, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)
