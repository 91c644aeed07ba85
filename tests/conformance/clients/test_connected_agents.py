"""Claude Code and Codex CLI, unmodified, with the settings that `meshctl connect` writes, and Codex with the mesh's
catalogue of models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib

import pytest

from tests.conformance.install import directory, missing
from tests.support.client.doors import Door

SECONDS = 60
QUIET = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1", "DISABLE_TELEMETRY": "1"}


@pytest.fixture
def home(tmp_path):
    place = tmp_path / "home"
    place.mkdir()
    return place


@pytest.fixture
def run(home, daemon):
    """Run a program at home, and return what it prints."""

    def run(*command, **environment):
        kept = {"PATH": os.environ["PATH"], "HOME": str(home), "MESH_SOCKET": str(daemon.socket), **QUIET}
        done = subprocess.run(
            command,
            cwd=home,
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
def connect(run):
    def connect(*words):
        return run(sys.executable, "-m", "meshd.cli", "connect", *words, "--yes")

    return connect


@pytest.fixture
def codex():
    if reason := missing("codex"):
        pytest.skip(reason)
    return "node", str(directory("codex") / "node_modules" / "@openai" / "codex" / "bin" / "codex.js")


def test_claude_code(run, connect, home):
    if reason := missing("claude-code"):
        pytest.skip(reason)
    connect("claude", "--model", "thinking")
    package = directory("claude-code") / "node_modules" / "@anthropic-ai" / "claude-code"
    told = run("node", str(package / "cli-wrapper.cjs"), "--print", "2 + 2?", "--output-format", "json")
    assert json.loads(told)["result"] == "It is 4."
    connect("claude", "--restore")
    left = home / ".claude" / "settings.json"
    assert not left.exists() or "ANTHROPIC_BASE_URL" not in left.read_text()


def test_codex(run, connect, codex, home):
    connect("codex", "--model", "thinking")
    told = run(*codex, "exec", "--skip-git-repo-check", "--json", "2 + 2?")
    lines = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    items = [line["item"] for line in lines if line["type"] == "item.completed"]
    assert [item["text"] for item in items if item["type"] == "agent_message"] == ["It is 4."]
    connect("codex", "--restore")
    left = home / ".codex" / "config.toml"
    assert not left.exists() or "meshd" not in tomllib.loads(left.read_text()).get("model_providers", {})


def test_codex_reads_the_catalogue_of_models(run, codex, home, daemon):
    place = home / ".codex"
    place.mkdir()
    (place / "config.toml").write_text(
        f"""
model = "thinking"
model_provider = "mesh"
[features]
api_key_model_discovery = true
[model_providers.mesh]
name = "mesh"
base_url = "{Door("tcp", daemon).base_url}"
model_catalog_url = "{Door("tcp", daemon).base_url}/models"
env_key = "MESH_TOKEN"
wire_api = "responses"
"""
    )
    listed = json.loads(run(*codex, "debug", "models", MESH_TOKEN="none"))["models"]
    found = {model["slug"]: model for model in listed}
    assert {"thinking", "echo", "codex"} <= set(found)
    assert found["thinking"]["input_modalities"] == ["text", "image"]
    assert [level["effort"] for level in found["thinking"]["supported_reasoning_levels"]] == ["low", "medium", "high"]
