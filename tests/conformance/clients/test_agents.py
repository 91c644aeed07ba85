"""Claude Code and Codex CLI, unmodified: each runs two commands that a scripted model calls in parallel, and sends it
their results."""

from __future__ import annotations

import json

import pytest

from tests.support.client.doors import Door

SECRETS = {"one.txt": "swordfish", "two.txt": "marlin"}


@pytest.fixture
def work(tmp_path):
    """A directory to work in, with what the commands print."""
    place = tmp_path / "work"
    place.mkdir()
    for name, secret in SECRETS.items():
        (place / name).write_text(secret + "\n")
    return place


@pytest.fixture
def lines(run, work):
    """Run an agent, and return what it says of itself, line by line."""

    def lines(*command, **environment):
        return [json.loads(line) for line in run(*command, cwd=work, **environment).splitlines()]

    return lines


# -- Claude Code ------------------------------------------------------------------------------------------


@pytest.fixture
def claude(daemon, lines, claude_code):
    environment = {
        "ANTHROPIC_BASE_URL": Door("tcp", daemon).root,
        "ANTHROPIC_AUTH_TOKEN": "none",
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": "echo",
        "CLAUDE_CODE_MAX_RETRIES": "0",
        "DISABLE_ERROR_REPORTING": "1",
    }

    def ask(model, *options):
        command = (*claude_code, "--print", "What do the files say?", "--model", model)
        return lines(*command, "--output-format", "stream-json", "--verbose", *options, **environment)[-1]

    return ask


def test_claude_code_runs_two_commands_and_sends_their_results(daemon, claude):
    before = daemon.model("claude.chat")["requests"]
    told = claude("claude", "--allowedTools", "Bash(cat:*)")
    assert not told["is_error"]
    assert sorted(told["result"].split()) == ["[scripted]", "marlin", "swordfish"]  # it runs them at the same time
    assert told["num_turns"] == 3  # its own count: the call of each command, and the answer
    assert daemon.model("claude.chat")["requests"] == before + 2


def test_claude_code_takes_thinking_and_tells_its_use(claude):
    told = claude("thinking")
    assert told["result"] == "It is 4."
    assert told["usage"]["input_tokens"] > 1000  # its system prompt


# -- Codex ------------------------------------------------------------------------------------------------


@pytest.fixture
def codex(daemon, lines, codex_cli, tmp_path):
    place = tmp_path / "codex"
    place.mkdir()
    (place / "config.toml").write_text(
        f"""
model_provider = "mesh"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false
[analytics]
enabled = false
[model_providers.mesh]
name = "mesh"
base_url = "{Door("tcp", daemon).base_url}"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
"""
    )

    def ask(model):
        command = (*codex_cli, "exec", "--skip-git-repo-check", "--json", "--model", model)
        return lines(*command, "What do the files say?", CODEX_HOME=str(place))

    return ask


def items(told, kind):
    found = [line["item"] for line in told if line["type"] == "item.completed"]
    return [item for item in found if item["type"] == kind]


def test_codex_runs_two_commands_and_sends_their_results(daemon, codex):
    before = daemon.model("codex.chat")["requests"]
    told = codex("codex")
    commands = items(told, "command_execution")
    assert sorted(command["aggregated_output"].strip() for command in commands) == sorted(SECRETS.values())
    (answer,) = items(told, "agent_message")
    assert all(secret in answer["text"] for secret in SECRETS.values())
    assert told[-1]["type"] == "turn.completed"
    assert told[-1]["usage"]["output_tokens"] > 0
    assert daemon.model("codex.chat")["requests"] == before + 2


def test_codex_takes_reasoning(codex):
    told = codex("thinking")
    assert [item["text"] for item in items(told, "agent_message")] == ["It is 4."]
