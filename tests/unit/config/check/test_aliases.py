"""The section `aliases`: names that can be asked for, and targets that exist."""

from __future__ import annotations

from typing import Any

import pytest

from meshd.config import MeshConfig

BASE: dict[str, Any] = {
    "providers": {"house": {"connector": "openai-compatible.v1", "base_url": "http://house/v1"}, "openai": {}},
    "models": {"house.a": {"provider": "house"}},
    "pools": {"chat": {"models": ["house.a"]}},
}


def problems(aliases: Any) -> list[str]:
    return [str(problem) for problem in MeshConfig({**BASE, "aliases": aliases}).validate()]


@pytest.mark.parametrize(
    "aliases",
    [
        {},
        {"gpt-4o-mini": "chat", "claude-*": "chat", "o?": "house.a", "claude-*[1m]": "chat", "a/b:c@d": "chat"},
        {"fast": "chat-completion", "gpt": "openai.gpt-4o"},
    ],
)
def test_what_is_valid(aliases: dict[str, str]) -> None:
    assert problems(aliases) == []


@pytest.mark.parametrize(
    ("aliases", "told"),
    [
        ({"gpt": "chta"}, "aliases.gpt: there is no pool, capability or model 'chta'; did you mean"),
        ({"gpt": "house.b"}, "there is no pool, capability or model 'house.b'"),
        ({"one": "two", "two": "chat"}, "aliases.one: there is no pool, capability or model 'two'; an alias cannot"),
        ({"chat": "house.a"}, "aliases.chat: pools.chat has this name, so the alias would never be used"),
        ({"house.a": "chat"}, "models.house.a has this name"),
        ({"a b": "chat"}, "a name may contain only"),
        ({"a" * 201: "chat"}, "a name may contain only"),
        ({"gpt": ["chat"]}, "aliases.gpt: expected"),
        (["chat"], "aliases: expected"),
    ],
)
def test_what_is_not(aliases: Any, told: str) -> None:
    assert any(told in problem for problem in problems(aliases)), problems(aliases)
