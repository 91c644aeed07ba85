"""`meshctl import`, and a real daemon that runs what it made, with a server behind the addresses of the examples."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "support" / "data" / "gateways"
ASKED = {
    "litellm": ("house", "gpt-4o-mini"),
    "bifrost": ("house/qwen3-32b", "house/fast"),
    "llama-swap": ("qwen3-32b", "gpt-4o-mini", "coding"),
    "portkey": ("portkey",),
}
"""What apps asked the other gateway for."""


def run(*words, **environ):
    return subprocess.run(
        [sys.executable, "-m", "meshd.cli", "import", *map(str, words)],
        env={**os.environ, **environ}, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def server(module_upstream):
    return module_upstream([{"reply": "here"}])


@pytest.mark.parametrize("gateway", ASKED)
def test_a_daemon_runs_what_was_imported(gateway, short, server, meshd):
    (example,) = EXAMPLES.glob(f"{gateway}.*")
    given = short / example.name
    given.write_text(example.read_text().replace("http://127.0.0.1:9000", server.url))
    made = short / "made.yaml"
    found = run(gateway, given, "--output", made)
    assert found.returncode == 0, found.stderr
    assert made.stat().st_mode & 0o777 == 0o600
    variables = {"HOUSE_URL": f"{server.url}/v1", "HOUSE_ROOT": server.url, "HOUSE_KEY": "a-key"}
    others = {"OPENAI_ORG": "org-1", "TEAM": "mesh", "AZURE_ENDPOINT": "https://acme.openai.azure.com"}
    daemon = meshd(made.read_text(), env=variables | others)
    for name in ASKED[gateway]:
        assert daemon.say(model=name).choices[0].message.content == "here"


def test_what_could_not_be_taken_over_is_told_beside_the_file(short):
    example = EXAMPLES / "portkey.json"
    printed = run("portkey", example)
    assert printed.stdout.startswith("# From ")
    assert f"{example}:17: targets[1].targets[1].virtual_key: is not imported" in printed.stderr
    told = json.loads(run("portkey", example, "--json").stdout)
    assert told["config"]["pools"].keys() == {"portkey", "portkey-2"}
    assert {"path", "line", "message"} == told["remarks"][0].keys()


def test_a_file_is_overwritten_only_if_told_to(short):
    made = short / "mesh.yaml"
    made.write_text("mine")
    assert run("portkey", EXAMPLES / "portkey.json", "-o", made).returncode == 1
    assert made.read_text() == "mine"
    assert run("portkey", EXAMPLES / "portkey.json", "-o", made, "--force").returncode == 0
    assert "portkey" in made.read_text()


def test_mistakes_are_told_plainly(short):
    assert "did you mean" in run("litelm", EXAMPLES / "litellm.yaml").stderr
    (short / "other.yaml").write_text("a: 1")
    refused = run("litellm", short / "other.yaml")
    assert refused.returncode == 1
    assert "is it a configuration of LiteLLM?" in refused.stderr
