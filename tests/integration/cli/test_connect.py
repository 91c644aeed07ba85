"""`meshctl connect` beside a real daemon: what it writes works, and it undoes it to the byte."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.support.waiting import WAIT

TOKEN = "mesh-of-this-test"
HASH = hashlib.sha256(TOKEN.encode()).hexdigest()
LISTENER = {"enabled": True, "port": "auto"}
CONFIG: dict[str, Any] = {
    "providers": {"house": {"connector": "modelmesh.scripted.v1", "script": [{"echo": True}]}},
    "models": {
        "house.chat": {
            "provider": "house",
            "capabilities": ["chat-completion"],
            "features": {"tool_calling": True},
            "constraints": {"context_window": 50_000, "max_output_tokens": 4_000},
        },
        "house.vectors": {"provider": "house", "capabilities": ["text-embeddings"]},
    },
    "pools": {"vectors": {"models": ["house.vectors"]}, "coding": {"models": ["house.chat"]}},
    "proxy": LISTENER,
}
HI = [{"role": "user", "content": "hi there"}]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def mesh(module_meshd: Any) -> Any:
    return module_meshd(CONFIG)


def run_with(mesh: Any, home: Path) -> Run:
    def run(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        clean = {"HOME": str(home), "PATH": "/usr/bin:/bin", "MESH_SOCKET": str(mesh.socket), "COLUMNS": "80"}
        return subprocess.run(
            [sys.executable, "-m", "meshd.cli", "connect", *words],
            env=clean | environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WAIT * 2,
            check=False,
        )

    return run


@pytest.fixture
def meshctl(mesh: Any, tmp_path: Path) -> Run:
    return run_with(mesh, tmp_path)


def claude(home: Path) -> tuple[str, str, str, str]:
    env = json.loads((home / ".claude/settings.json").read_text())["env"]
    assert env["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] == "50000"
    return env["ANTHROPIC_BASE_URL"] + "/v1/messages", env["ANTHROPIC_AUTH_TOKEN"], env["ANTHROPIC_MODEL"], "messages"


def codex(home: Path) -> tuple[str, str, str, str]:
    found = tomllib.loads((home / ".codex/config.toml").read_text())
    provider = found["model_providers"][found["model_provider"]]
    return provider["base_url"] + "/responses", provider.get("experimental_bearer_token", ""), found["model"], "input"


def opencode(home: Path) -> tuple[str, str, str, str]:
    found = json.loads((home / ".config/opencode/opencode.json").read_text())
    name, _, model = found["model"].partition("/")
    options = found["provider"][name]["options"]
    return options["baseURL"] + "/chat/completions", options["apiKey"], model, "messages"


def cline(home: Path) -> tuple[str, str, str, str]:
    found = json.loads((home / ".cline/data/settings/providers.json").read_text())
    settings = found["providers"][found["lastUsedProvider"]]["settings"]
    return settings["baseUrl"] + "/chat/completions", settings["apiKey"], settings["model"], "messages"


def continues(home: Path) -> tuple[str, str, str, str]:
    models = yaml.safe_load((home / ".continue/config.yaml").read_text())["models"]
    [model] = [each for each in models if each["model"] == "coding"]
    return model["apiBase"] + "/chat/completions", model["apiKey"], model["model"], "messages"


def aider(home: Path) -> tuple[str, str, str, str]:
    found = yaml.safe_load((home / ".aider.conf.yml").read_text())
    assert json.loads((home / ".aider.model.metadata.json").read_text())[found["model"]]["max_input_tokens"] == 50_000
    model = found["model"].removeprefix("openai/")
    return found["openai-api-base"] + "/chat/completions", found["openai-api-key"], model, "messages"


def zed(home: Path) -> tuple[str, str, str, str]:
    found = json.loads((home / ".config/zed/settings.json").read_text())
    chosen = found["agent"]["default_model"]
    provider = found["language_models"]["openai_compatible"][chosen["provider"]]
    assert provider["available_models"][0]["max_tokens"] == 50_000
    return provider["api_url"] + "/chat/completions", "none", chosen["model"], "messages"


def llm(home: Path) -> tuple[str, str, str, str]:
    models = yaml.safe_load((home / ".config/io.datasette.llm/extra-openai-models.yaml").read_text())
    [model] = [each for each in models if each["model_id"] == "mesh/coding"]
    token = model.get("headers", {}).get("Authorization", "Bearer ").removeprefix("Bearer ")
    return model["api_base"] + "/chat/completions", token, model["model_name"], "messages"


TOOLS = {
    "claude": claude, "codex": codex, "opencode": opencode, "cline": cline, "continue": continues, "aider": aider,
    "zed": zed, "llm": llm,
}  # fmt: skip


def asked(url: str, key: str, model: str, field: str) -> httpx.Response:
    body = {"model": model, field: HI, "max_tokens": 50}
    if field == "input":
        body = {"model": model, "input": "hi there"}
    return httpx.post(url, json=body, headers={"authorization": f"Bearer {key}"} if key else {}, timeout=WAIT)


@pytest.mark.parametrize("tool", TOOLS)
def test_what_is_written_works(tool: str, meshctl: Run, tmp_path: Path) -> None:
    done = meshctl(tool, "--yes")
    assert done.returncode == 0, done.stderr
    url, key, model, field = TOOLS[tool](tmp_path)
    assert model == "coding"
    answer = asked(url, key, model, field)
    assert answer.status_code == 200, answer.text
    assert "hi there" in answer.text
    listed = json.loads(meshctl("--list", "--json").stdout)["data"]
    assert [row["tool"] for row in listed if row["connected"]] == [tool]
    assert meshctl(tool, "--restore", "--yes").returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == [".local"]
    assert meshctl(tool, "--restore").returncode == 1


def test_print_and_a_missing_yes_write_nothing(meshctl: Run, tmp_path: Path) -> None:
    shown = meshctl("claude", "--print")
    assert shown.returncode == 0
    assert '+    "ANTHROPIC_MODEL": "coding"' in shown.stdout
    refused = meshctl("claude")
    assert refused.returncode == 1
    assert "--yes" in refused.stderr
    assert list(tmp_path.iterdir()) == []
    as_json = json.loads(meshctl("codex", "--print", "--json").stdout)
    assert (as_json["written"], as_json["tool"]) == (False, "codex")


def test_another_pool_or_model_by_name(meshctl: Run, tmp_path: Path) -> None:
    assert meshctl("codex", "--yes", "--model", "house.chat").returncode == 0
    assert codex(tmp_path)[2] == "house.chat"
    for name in ("vectors", "nothing"):
        refused = meshctl("codex", "--yes", "--model", name)
        assert refused.returncode == 2
        assert name in refused.stderr


def test_what_it_does_not_know(meshctl: Run) -> None:
    assert "claude" in meshctl("cluade").stderr
    assert meshctl("claude", "--yes", "--url", "nonsense").returncode == 2
    gone = meshctl("claude", "--yes", "--url", "http://127.0.0.1:1")
    assert (gone.returncode, "does not answer" in gone.stderr) == (1, True)


def test_a_mesh_without_a_listener_says_what_to_do(meshd: Any, tmp_path: Path) -> None:
    refused = run_with(meshd({**CONFIG, "proxy": {"enabled": False}}), tmp_path)("claude", "--yes")
    assert refused.returncode == 1
    assert "proxy" in refused.stderr
    assert "meshctl reload" in refused.stderr


def test_a_listener_that_wants_a_token(meshd: Any, tmp_path: Path) -> None:
    auth = {"method": "bearer", "tokens": [{"app": "editor", "hash": HASH}]}
    meshctl = run_with(meshd({**CONFIG, "proxy": {**LISTENER, "auth": auth}}), tmp_path)
    refused = meshctl("claude", "--yes")
    assert refused.returncode == 1
    assert "MESH_TOKEN" in refused.stderr
    wrong = meshctl("claude", "--yes", MESH_TOKEN="mesh-wrong")
    assert (wrong.returncode, "mesh-wrong" in wrong.stdout + wrong.stderr) == (1, False)
    for tool, read in TOOLS.items():
        done = meshctl(tool, "--yes", MESH_TOKEN=TOKEN)
        assert done.returncode == 0, done.stderr
        assert TOKEN not in done.stdout + done.stderr
        url, key, model, field = read(tmp_path)
        if tool != "zed":  # its key is not in its settings
            assert key == TOKEN
            assert asked(url, key, model, field).status_code == 200
    modes = {path.stat().st_mode & 0o077 for path in tmp_path.rglob("*") if path.is_file()}
    assert modes == {0}
