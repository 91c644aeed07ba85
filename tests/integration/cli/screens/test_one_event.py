"""One occurrence is one event and one line in the log, whichever part notices it."""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

import pytest

CONFIG: dict[str, Any] = {
    "providers": {
        "closed": {
            "connector": "openai-compatible.v1",
            "base_url": "http://127.0.0.1:9/v1",
            "auth": {"method": "none"},
        },
        "there": {"connector": "modelmesh.scripted.v1", "script": [{"reply": "Hello"}]},
    },
    "models": {
        "closed.m": {"provider": "closed", "capabilities": ["chat-completion"]},
        "there.m": {"provider": "there", "capabilities": ["chat-completion"]},
    },
}


@pytest.mark.mesh_config(CONFIG)
def test_a_provider_that_goes_and_a_reload_are_told_once(mesh: Any, meshctl: Any) -> None:
    deadline = time.monotonic() + 40.0

    def events() -> list[dict[str, Any]]:
        return json.loads(meshctl("events", "--json").stdout)["data"]

    while not (gone := [event for event in events() if event["ids"].get("provider") == "closed"]):
        assert time.monotonic() < deadline
    assert [event["type"] for event in gone] == ["provider_deactivated"]
    mesh.write_config(CONFIG | {"pools": {"more": {"capability": "chat-completion"}}})
    meshctl("reload")
    reloads = [event for event in events() if event["type"] == "config_reloaded" and "more" in event["reason"]]
    assert len(reloads) == 1
    lines = mesh.log().splitlines()
    assert sum("closed" in line and "127.0.0.1:9" in line for line in lines) == 1, lines
    assert sum("config_reloaded" in line for line in lines) == 1, lines
    assert isinstance(meshctl("events"), subprocess.CompletedProcess)
