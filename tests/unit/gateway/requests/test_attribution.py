"""What a request was for, by its headers."""

from __future__ import annotations

import pytest

from meshd.gateway.requests.attribution import agent_in


@pytest.mark.parametrize(
    ("headers", "agent"),
    [
        ({"user-agent": "claude-cli/2.1.240 (external, cli)"}, "claude-code"),
        ({"user-agent": "codex_cli_rs/0.38.0 (Ubuntu 24.4.0; x86_64) WezTerm"}, "codex"),
        ({"user-agent": "node", "originator": "codex_exec"}, "codex"),
        ({"user-agent": "GeminiCLI/0.20.0/gemini-3-pro (linux; x64)"}, "gemini-cli"),
        ({"user-agent": "opencode/1.0.0"}, "opencode"),
        ({"user-agent": "OpenAI/JS 5.12.2", "x-title": "Cline"}, "cline"),
        ({"user-agent": "OpenAI/Python 2.8.0"}, ""),
        ({"user-agent": "codex_cli_rs/0.38.0", "mesh-agent": "my \x1b[31mrobot"}, "my [31mrobot"),
        ({}, ""),
    ],
)
def test_agents(headers: dict[str, str], agent: str) -> None:
    assert agent_in(headers) == agent


def test_names_are_short() -> None:
    assert len(agent_in({"mesh-agent": "x" * 10_000})) == 64
