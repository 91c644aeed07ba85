"""Claude Code and Codex CLI, unmodified, with the settings that `meshctl connect` writes, and Codex with the mesh's
catalogue of models."""

from __future__ import annotations

import json
import sys
import tomllib

import pytest

from tests.support.client.doors import Door


@pytest.fixture
def connect(run):
    def connect(*words):
        return run(sys.executable, "-m", "meshd.cli", "connect", *words, "--yes")

    return connect


def test_claude_code(run, connect, claude_code, home):
    connect("claude", "--model", "thinking")
    told = run(*claude_code, "--print", "2 + 2?", "--output-format", "json")
    assert json.loads(told)["result"] == "It is 4."
    connect("claude", "--restore")
    left = home / ".claude" / "settings.json"
    assert not left.exists() or "ANTHROPIC_BASE_URL" not in left.read_text()


def test_codex(run, connect, codex_cli, home):
    connect("codex", "--model", "thinking")
    told = run(*codex_cli, "exec", "--skip-git-repo-check", "--json", "2 + 2?")
    lines = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    items = [line["item"] for line in lines if line["type"] == "item.completed"]
    assert [item["text"] for item in items if item["type"] == "agent_message"] == ["It is 4."]
    connect("codex", "--restore")
    left = home / ".codex" / "config.toml"
    assert not left.exists() or "meshd" not in tomllib.loads(left.read_text()).get("model_providers", {})


def test_codex_reads_the_catalogue_of_models(run, codex_cli, home, daemon):
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
    listed = json.loads(run(*codex_cli, "debug", "models", MESH_TOKEN="none"))["models"]
    found = {model["slug"]: model for model in listed}
    assert {"thinking", "echo", "codex"} <= set(found)
    assert found["thinking"]["input_modalities"] == ["text", "image"]
    assert [level["effort"] for level in found["thinking"]["supported_reasoning_levels"]] == ["low", "medium", "high"]
