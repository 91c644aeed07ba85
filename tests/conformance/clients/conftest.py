"""A daemon with scripted providers, and the ways into it, for clients that others wrote.

What needs a package of Python is in the environment of `make conformance`; what needs one of npm is in `packages.toml`.
Elsewhere each is skipped with what it lacks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.client.doors import Door, proxy
from tests.support.providers.weather_tool import CALL

CALLS = [CALL, {"name": "weather", "arguments": {"city": "Oslo"}, "id": "call_2"}]
FILES = ("one.txt", "two.txt")
BEHAVIOURS: dict[str, list[dict[str, Any]]] = {
    "echo": [{"echo": True}],
    "counting": [{"tokens": [f"{number} " for number in range(200)]}],
    "agent": [{"tool_calls": CALLS}, {"echo_results": True}],
    "claude": [
        {"tool_calls": [{"name": "Bash", "arguments": {"command": f"cat {file}"}, "id": file} for file in FILES]},
        {"echo_results": True},
    ],
    "codex": [
        {"tool_calls": [{"name": "exec_command", "arguments": {"cmd": f"cat {file}"}, "id": file} for file in FILES]},
        {"echo_results": True},
    ],
    "schema": [{"reply": '{"name": "Ada", "age": 36}'}],
    "thinking": [{"reply": "It is 4.", "reasoning": ["two and ", "two"]}],
    "bad": [{"error": 400, "message": "that is no good", "code": "bad_thing"}],
    "key": [{"error": 401, "message": "no such key"}],
    "forbidden": [{"error": 403, "message": "not yours"}],
    "busy": [{"error": 429, "message": "slow down", "retry_after": 0.01}],
    "overloaded": [{"error": 503, "message": "overloaded"}],
    "failing": [{"error": 500, "message": "broken"}],
    "silent": [{"fault": "timeout"}],
    "endless": [{"tokens": ["x"] * 5000, "chunk_delay": "5ms"}],
    "cut": [{"tokens": ["one ", "two ", "three"], "fault": "reset", "after": 2}],
}
FEATURES = {"tool_calling": True, "structured_output": True, "vision": True, "json_mode": True, "reasoning": True}
CONFIG: dict[str, Any] = {
    "providers": {
        name: {"connector": "modelmesh.scripted.v1", "script": script, "cycle": True}
        for name, script in BEHAVIOURS.items()
    },
    "models": {
        **{
            f"{name}.chat": {"provider": name, "capabilities": ["chat-completion"], "features": FEATURES}
            for name in BEHAVIOURS
        },
        "echo.vectors": {"provider": "echo", "capabilities": ["text-embeddings"]},
    },
    "pools": {
        name: {
            "models": [f"{name}.chat"],
            "retry": {"max_attempts": 1},
            "deactivation": {"retry_limit": 1000},
            "provider_deactivation": [],
        }
        for name in BEHAVIOURS
    },
    "discovery": {"health": {"enabled": False}},
}


@pytest.fixture(scope="module")
def daemon(module_meshd: Any, module_short: Path) -> Any:
    return module_meshd({**CONFIG, "proxy": proxy(module_short)})


@pytest.fixture(params=["mesh", "tcp", "unix"])
def door(request: Any, daemon: Any) -> Door:
    return Door(request.param, daemon)
