"""A daemon with scripted providers, and the installed OpenAI SDK over its socket and over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.client.doors import Door, proxy
from tests.support.providers.weather_tool import CALL

pytest.importorskip("openai")

SCRIPTED = "modelmesh.scripted.v1"
SCHEMA_ANSWER = '{"name": "Ada", "age": 36}'


def provider(*script: dict[str, Any]) -> dict[str, Any]:
    return {"connector": SCRIPTED, "script": list(script)}


def model(name: str, **settings: Any) -> dict[str, Any]:
    return {"provider": name, "capabilities": ["chat-completion", "text-completion"], **settings}


BEHAVIOURS: dict[str, list[dict[str, Any]]] = {
    "echo": [{"echo": True}],
    "counting": [{"tokens": [f"{number} " for number in range(200)]}],
    "tools": [{"tool_call": CALL}],
    "schema": [{"reply": SCHEMA_ANSWER}],
    "bad": [{"error": 400, "message": "that is no good", "code": "bad_thing"}],
    "key": [{"error": 401, "message": "no such key"}],
    "forbidden": [{"error": 403, "message": "not yours"}],
    "unprocessable": [{"error": 422, "message": "cannot be processed"}],
    "busy": [{"error": 429, "message": "slow down", "retry_after": 0.01}],
    "failing": [{"error": 500, "message": "broken"}],
    "silent": [{"fault": "timeout"}],
    "endless": [{"tokens": ["x"] * 5000, "chunk_delay": "5ms"}],
    "cut": [{"tokens": ["one ", "two ", "three"], "fault": "reset", "after": 2}],
}
FEATURES = {"features": {"tool_calling": True, "structured_output": True, "vision": True, "json_mode": True}}

CONFIG: dict[str, Any] = {
    "providers": {name: provider(*script) for name, script in BEHAVIOURS.items()},
    "models": {
        **{f"{name}.chat": model(name, **FEATURES) for name in BEHAVIOURS},
        "echo.vectors": {"provider": "echo", "capabilities": ["text-embeddings"]},
    },
    "pools": {
        **{
            name: {
                "models": [f"{name}.chat"],
                "retry": {"max_attempts": 1},
                "deactivation": {"retry_limit": 1000},
                "provider_deactivation": [],
            }
            for name in BEHAVIOURS
        },
    },
    "discovery": {"health": {"enabled": False}},
}


@pytest.fixture(scope="module")
def daemon(module_meshd: Any, module_short: Path) -> Any:
    return module_meshd({**CONFIG, "proxy": proxy(module_short)})


@pytest.fixture(params=["mesh", "tcp", "unix"])
def door(request: Any, daemon: Any, monkeypatch: pytest.MonkeyPatch) -> Door:
    """A proxy in the environment has no effect on it."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return Door(request.param, daemon)


@pytest.fixture
def client(door: Door) -> Any:
    """`openai.OpenAI`."""
    with door.openai() as client:
        yield client


@pytest.fixture
async def aclient(door: Door) -> Any:
    """`openai.AsyncOpenAI`."""
    async with door.async_openai() as client:
        yield client
