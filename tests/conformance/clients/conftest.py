"""A daemon with scripted providers, and the ways into it, for clients that others wrote.

What needs a package of Python is in the environment of `make conformance`; what needs one of npm is in `packages.toml`.
Elsewhere each is skipped with what it lacks.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.install import directory, missing
from tests.support.answers.weather_tool import CALL
from tests.support.client.doors import Door, proxy
from tests.support.daemons.scripted import scripted

CALLS = [CALL, {"name": "weather", "arguments": {"city": "Oslo"}, "id": "call_2"}]
FILES = ("one.txt", "two.txt")
SECONDS = 60
QUIET = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1", "DISABLE_TELEMETRY": "1"}


def reads_both(tool: str, argument: str) -> list[dict[str, Any]]:
    """Has an agent's tool for commands print the files, both at once, and repeats what comes back."""
    calls = [{"name": tool, "arguments": {argument: f"cat {file}"}, "id": file} for file in FILES]
    return [{"tool_calls": calls}, {"echo_results": True}]


CONFIG = scripted(
    {
        "agent": [{"tool_calls": CALLS}, {"echo_results": True}],
        "claude": reads_both("Bash", "command"),
        "codex": reads_both("exec_command", "cmd"),
        "thinking": [{"reply": "It is 4.", "reasoning": ["two and ", "two"]}],
    },
    "reasoning",
)


@pytest.fixture(scope="module")
def daemon(module_meshd: Any, module_short: Path) -> Any:
    return module_meshd({**CONFIG, "proxy": proxy(module_short)})


@pytest.fixture(params=["mesh", "tcp", "unix"])
def door(request: Any, daemon: Any) -> Door:
    return Door(request.param, daemon)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    place = tmp_path / "home"
    place.mkdir()
    return place


@pytest.fixture
def run(home: Path, daemon: Any) -> Any:
    """Run a program in a directory, and return what it prints."""

    def run(*command: str, cwd: Path = home, **environment: str) -> str:
        kept = {"PATH": os.environ["PATH"], "HOME": str(home), "MESH_SOCKET": str(daemon.socket), **QUIET}
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**kept, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def claude_code() -> tuple[str, ...]:
    """Its command."""
    return _command("claude-code", "@anthropic-ai", "claude-code", "cli-wrapper.cjs")


@pytest.fixture
def codex_cli() -> tuple[str, ...]:
    return _command("codex", "@openai", "codex", "bin", "codex.js")


def _command(name: str, *script: str) -> tuple[str, ...]:
    if reason := missing(name):
        pytest.skip(reason)
    return "node", str(directory(name).joinpath("node_modules", *script))
