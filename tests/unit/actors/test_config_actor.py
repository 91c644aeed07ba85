"""The config actor over its own death, and told twice of one thing."""

from __future__ import annotations

from typing import Any

import pytest

from meshd import messages
from meshd.actors.config import ConfigActor
from meshd.compilation.compile import Directories
from meshd.config import MeshConfig
from meshd.config.source import ConfigSource
from meshd.connectors.registry import default_registry


def test_what_discovery_found_before_a_crash_is_run_by_the_next_life(neighbours, monkeypatch):
    source = ConfigSource.of_config(MeshConfig.from_dict({}))

    def make():
        return ConfigActor(neighbours.directory, source, default_registry(), Directories())

    first = make()
    first.catalogue_changed(messages.CatalogueChanged("ollama", ({"id": "a"},)))
    first.cancel_tick("catalogue")  # as the end of a life does
    following = make()
    following.inherit(first.legacy())
    following.on_start()
    assert neighbours.next("config", messages.Tick).what == "catalogue"
    following.ticked(messages.Tick("catalogue"))
    last = make()
    last.inherit(following.legacy())
    ticks: list[Any] = []
    monkeypatch.setattr(last, "tick", lambda *of: ticks.append(of))
    last.on_start()
    assert ticks == []


def test_a_key_that_runs_already_makes_no_generation(neighbours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told of a key until that key runs, so a second reload may be waiting when the first one is done."""
    values, asked = {"K": "old"}, []

    def ask(name: str, message: Any, timeout: float = 10.0) -> Any:
        asked.append((name, type(message)))
        return messages.SecretsResolved(dict(values), {}) if isinstance(message, messages.ResolveSecrets) else ()

    monkeypatch.setattr(neighbours.directory, "ask", ask)
    secret = neighbours.directory.mailbox("secret")
    wanted = {
        "providers": {
            "p": {"connector": "openai-compatible.v1", "base_url": "http://127.0.0.1:9/v1", "api_key": "${secrets:K}"}
        }
    }
    source = ConfigSource.of_config(MeshConfig.from_dict(wanted))
    actor = ConfigActor(neighbours.directory, source, default_registry(), Directories())
    assert actor.reload(messages.Reload(reason="start")).generation == 1
    told = messages.Reload(reason="secret K rotated", secrets_only=True)
    values["K"] = "new"
    assert actor.reload(told).generation == 2
    asked.clear()
    while not secret.empty():
        secret.get()
    assert actor.reload(told).generation == 2
    assert asked == [("secret", messages.ResolveSecrets)]
    assert isinstance(secret.get_nowait().message, messages.Commit), "what it was asked for runs"
    values["K"] = "newer"
    assert actor.reload(told).generation == 3
