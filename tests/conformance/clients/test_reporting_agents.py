"""Claude Code and Codex CLI, unmodified, report what they use to a mesh that does not serve them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.clients.conftest import CONFIG
from tests.support.client.doors import Door, proxy
from tests.support.waiting import until


@pytest.fixture(scope="module")
def counting(module_meshd: Any, module_short: Path) -> Any:
    """The mesh that takes the reports; the agents ask `daemon`, as if that were their vendor."""
    place = module_short / "counting"
    place.mkdir()
    return module_meshd({**CONFIG, "proxy": proxy(place)})


@pytest.fixture
def repository(home: Path) -> Path:
    place = home / "work" / "api"
    (place / ".git").mkdir(parents=True)
    return place


def connect(run: Any, counting: Any, tool: str) -> None:
    address = Door("tcp", counting).base_url.removesuffix("/v1")
    run(sys.executable, "-m", "meshd.cli", "connect", tool, "--usage", "--url", address, "--yes")


def counted(counting: Any, session_of: str) -> dict[str, Any]:
    """The agent's row, once it has reported."""

    def found() -> Any:
        rows = counting.ask("GET", "/mesh/v1/stats?by=agent,project,session")["data"]
        return next((row for row in rows if row["group"]["agent"] == session_of and row["outside_tokens_in"]), None)

    row: dict[str, Any] = until(found)
    return row


def test_claude_code(run: Any, claude_code: Any, counting: Any, daemon: Any, repository: Path) -> None:
    connect(run, counting, "claude")
    vendor = {"ANTHROPIC_BASE_URL": Door("tcp", daemon).base_url.removesuffix("/v1"), "ANTHROPIC_API_KEY": "none"}
    told = run(
        *claude_code, "--print", "2 + 2?", "--model", "thinking", "--output-format", "json", cwd=repository, **vendor,
        DISABLE_TELEMETRY="", CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="", OTEL_LOGS_EXPORT_INTERVAL="500",
    )  # fmt: skip
    row = counted(counting, "claude-code")
    assert row["group"]["session"] == json.loads(told)["session_id"]
    assert row["group"]["project"].endswith("work/api")
    assert row["outside_requests"] >= 1
    assert row["requests_total"] == 0


def test_codex(run: Any, codex_cli: Any, counting: Any, daemon: Any, home: Path, repository: Path) -> None:
    connect(run, counting, "codex")
    config = home / ".codex" / "config.toml"
    vendor = f"""
[model_providers.vendor]
name = "vendor"
base_url = "{Door("tcp", daemon).base_url}"
wire_api = "responses"
supports_websockets = false
"""
    config.write_text(f'model = "thinking"\nmodel_provider = "vendor"\n{config.read_text()}\n{vendor}')
    run(*codex_cli, "exec", "--skip-git-repo-check", "--json", "2 + 2?", cwd=repository)
    row = counted(counting, "codex")
    assert row["group"]["session"]
    assert row["group"]["project"].endswith("work/api")
    assert row["outside_tokens_out"] > 0
