"""`meshctl` beside a real daemon with scripted providers (the fixture `mesh`)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.processes import meshctl as forked

CONFIG: dict[str, Any] = {
    "providers": {
        "first": {"connector": "modelmesh.scripted.v1", "script": [{"reply": "Hello from the first"}]},
        "second": {"connector": "modelmesh.scripted.v1", "script": [{"reply": "Hello from the second"}]},
        "slow": {"connector": "modelmesh.scripted.v1", "script": [{"reply": "a b c d e f g h", "chunk_delay": "20s"}]},
        "echo": {"connector": "modelmesh.scripted.v1", "script": [{"echo": True}]},
        "empty": {"connector": "modelmesh.scripted.v1", "script": [{"reply": ""}]},
        "broken": {"connector": "modelmesh.scripted.v1", "script": [{"error": 503, "message": "overloaded"}]},
    },
    "models": {
        "first.chat": {"provider": "first", "capabilities": ["chat-completion"]},
        "first.vectors": {"provider": "first", "capabilities": ["text-embeddings"]},
        "second.chat": {"provider": "second", "capabilities": ["chat-completion"]},
        "slow.chat": {"provider": "slow", "capabilities": ["code-generation"]},
        "echo.chat": {"provider": "echo", "capabilities": ["code-generation"]},
        "empty.chat": {"provider": "empty", "capabilities": ["code-generation"]},
        "broken.chat": {"provider": "broken", "capabilities": ["code-generation"]},
    },
    "pools": {
        "talk": {"capability": "chat-completion", "models": ["first.chat", "second.chat"]},
        "slow": {"capability": "code-generation", "providers": ["slow"]},
        "echo": {"capability": "code-generation", "providers": ["echo"]},
        "empty": {"capability": "code-generation", "providers": ["empty"]},
        "broken": {"capability": "code-generation", "providers": ["broken"], "retry": {"max_attempts": 1}},
    },
}


@pytest.fixture
def launch(mesh: Any) -> Iterator[Callable[..., subprocess.Popen[Any]]]:
    """`launch("status", stdout=…, NO_COLOR="1")`: the process, whose environment is cleaned but for names in capitals
    given; killed at the end of the test where it still runs."""
    started: list[subprocess.Popen[Any]] = []

    def start(*words: str, **options: Any) -> subprocess.Popen[Any]:
        kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "MESHCTL_DEBUG")}
        given = {name: options.pop(name) for name in list(options) if name.isupper() or name.startswith("_")}
        environment = kept | {"MESH_SOCKET": mesh.socket, "COLUMNS": "80"} | given
        started.append(subprocess.Popen([sys.executable, "-m", "meshd.cli", *words], env=environment, **options))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=20)


@pytest.fixture
def meshctl(mesh: Any) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`meshctl("status")`, to its end."""

    def run(*words: str, input: str = "", **given: str) -> subprocess.CompletedProcess[str]:
        given = {"MESH_SOCKET": mesh.socket, "COLUMNS": "80"} | given
        return forked.run(*words, without=("NO_COLOR", "MESHCTL_DEBUG"), input=input, **given)

    return run


@pytest.fixture
def run_meshctl() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`run_meshctl(daemon, "status")`: beside a daemon of the test's own, in a pipe."""
    return lambda daemon, *words: forked.run("--socket", str(daemon.socket), *words)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "integration/cli" in str(item.path) and item.get_closest_marker("mesh_config") is None:
            item.add_marker(pytest.mark.mesh_config(CONFIG))
