"""One daemon for all tests of a module, with a pool for each way to behave."""

from __future__ import annotations

from typing import Any

import pytest

SCRIPTED = "modelmesh.scripted.v1"


def provider(*script: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {"connector": SCRIPTED, "script": list(script), **options}


CONFIG: dict[str, Any] = {
    "providers": {
        "echo": provider({"echo": True}),
        "counting": provider({"tokens": [f"{number} " for number in range(200)]}),
        "endless": provider({"tokens": ["x"] * 10_000, "chunk_delay": "1ms"}),
        "silent": provider({"fault": "timeout"}),
        "refusing": provider({"error": 400, "message": "that is no good", "code": "bad_thing", "type": "bad_type"}),
    },
    "models": {
        "echo.chat": {"provider": "echo", "capabilities": ["chat-completion", "text-completion"]},
        "echo.tools": {
            "provider": "echo",
            "capabilities": ["code-generation"],
            "features": {"tool_calling": True, "vision": True},
            "constraints": {"context_window": 100_000},
        },
        "echo.vectors": {"provider": "echo", "capabilities": ["text-embeddings"]},
        "echo.plain": {
            "provider": "echo",
            "capabilities": ["summarization"],
            "features": {"tool_calling": False},
            "constraints": {"context_window": 100},
        },
        "counting.chat": {"provider": "counting", "capabilities": ["classification"]},
        "endless.chat": {"provider": "endless", "capabilities": ["sentiment-analysis"]},
        "silent.chat": {"provider": "silent", "capabilities": ["entity-extraction"]},
        "refusing.chat": {"provider": "refusing", "capabilities": ["rewriting"]},
    },
    "pools": {
        "chat": {"capability": "chat-completion"},
        "plain": {"models": ["echo.plain"]},
        "counting": {"models": ["counting.chat"]},
        "endless": {"models": ["endless.chat"]},
        "silent": {"models": ["silent.chat"]},
        "refusing": {"models": ["refusing.chat"]},
    },
    "daemon": {"max_message_size": "1MiB", "request_timeout": "20s"},
}


@pytest.fixture(scope="module")
def daemon(module_meshd: Any) -> Any:
    return module_meshd(CONFIG)


@pytest.fixture(scope="module")
def server(module_upstream: Any) -> Any:
    """An upstream without a script yet, for `Cases`."""
    return module_upstream()


@pytest.fixture
def line(daemon: Any, dial: Any) -> Any:
    """A bare socket to the daemon."""
    return dial(daemon.socket)
