"""The configuration of a daemon whose providers are scripted: one for each behaviour, with a model and a pool of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.answers.weather_tool import CALL

Script = list[dict[str, Any]]

BEHAVIOURS: dict[str, Script] = {
    "echo": [{"echo": True}],
    "counting": [{"tokens": [f"{number} " for number in range(200)]}],
    "tools": [{"tool_call": CALL}],
    "schema": [{"reply": '{"name": "Ada", "age": 36}'}],
    "bad": [{"error": 400, "message": "that is no good", "code": "bad_thing"}],
    "key": [{"error": 401, "message": "no such key"}],
    "forbidden": [{"error": 403, "message": "not yours"}],
    "unprocessable": [{"error": 422, "message": "cannot be processed"}],
    "busy": [{"error": 429, "message": "slow down", "retry_after": 0.01}],
    "failing": [{"error": 500, "message": "broken"}],
    "overloaded": [{"error": 503, "message": "overloaded"}],
    "silent": [{"fault": "timeout"}],
    "endless": [{"tokens": ["x"] * 5000, "chunk_delay": "5ms"}],
    "cut": [{"tokens": ["one ", "two ", "three"], "fault": "reset", "after": 2}],
}
_FEATURES = ("tool_calling", "structured_output", "vision", "json_mode")


def scripted(own: Mapping[str, Script], *features: str, capabilities: tuple[str, ...] = ("chat-completion",)) -> Any:
    """own: behaviours beside those above, or instead of them. features, capabilities: of all models; the first beside
    the usual ones. `echo.vectors` has embeddings. A failure makes no model unavailable."""
    behaviours = {**BEHAVIOURS, **own}
    model = {"capabilities": list(capabilities), "features": dict.fromkeys((*_FEATURES, *features), True)}
    pool = {
        "retry": {"max_attempts": 1},
        "deactivation": {"retry_limit": 1000},
        "provider_deactivation": [],
    }
    return {
        "providers": {
            name: {"connector": "modelmesh.scripted.v1", "script": script, "cycle": True}
            for name, script in behaviours.items()
        },
        "models": {
            **{f"{name}.chat": {"provider": name, **model} for name in behaviours},
            "echo.vectors": {"provider": "echo", "capabilities": ["text-embeddings"]},
        },
        "pools": {name: {"models": [f"{name}.chat"], **pool} for name in behaviours},
        "discovery": {"health": {"enabled": False}},
    }
