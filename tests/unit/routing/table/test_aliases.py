"""Other names for pools and models: the exact one first, then the first pattern; real names win."""

from __future__ import annotations

import time

import pytest

from meshd.routing.table.access import allowed_aliases
from meshd.routing.table.aliases import Aliases
from meshd.routing.table.capabilities import CapabilityTree
from meshd.routing.table.specs import AppSpec, PoolSpec, ProviderSpec, RoutingTable, UnknownModel
from tests.support.routing.routing_builders import CHAT, model


def made(aliases: dict[str, str]) -> RoutingTable:
    pools = (PoolSpec("chat", CHAT, ("p.x", "p.claude-real")), PoolSpec("coding", "", ("p.x",)))
    models = [model("p.x"), model("p.claude-real")]
    provider = ProviderSpec("p", "modelmesh.scripted.v1")
    return RoutingTable(CapabilityTree.default(), models, [provider], pools, aliases=Aliases(aliases))


@pytest.mark.parametrize(
    ("asked", "pool", "alias"),
    [
        ("gpt-4o-mini", "chat", "gpt-4o-mini"),
        ("gpt-4o", "coding", "gpt-*"),
        ("gpt-", "coding", "gpt-*"),
        ("o3", "p.x", "o?"),
        ("claude-opus-4-6[1m]", "chat", "claude-*[1m]"),
        ("claude-opus-4-6", "coding", "claude-*"),
        ("claude-real", "p.claude-real", ""),
        ("chat", "chat", ""),
        ("coding", "coding", ""),
        ("by-capability", "chat", "by-capability"),
    ],
)
def test_what_a_name_stands_for(asked: str, pool: str, alias: str) -> None:
    table = made(
        {
            "gpt-*": "coding",
            "gpt-4o-mini": "chat",
            "claude-*[1m]": "chat",
            "claude-*": "coding",
            "claude-opus*": "chat",
            "o?": "p.x",
            "by-capability": "chat-completion",
            "coding": "chat",
        }
    )
    target = table.resolve(asked)
    assert (target.pool.name, target.alias) == (pool, alias)


@pytest.mark.parametrize("asked", ["GPT-4o", "xgpt-4o", "gpt-4o\n", "lost", "again", f"a{'b' * 200}"])
def test_what_no_alias_stands_for(asked: str) -> None:
    table = made({"gpt-4*o": "chat", "lost": "not-here", "again": "gpt-4o", "ab*": "chat"})
    with pytest.raises(UnknownModel):
        table.resolve(asked)


def test_a_misspelt_alias_is_suggested() -> None:
    assert "gpt-4o-mini" in made({"gpt-4o-mini": "chat"}).nearest("gpt-4o-mni")


def test_lists_show_the_aliases_that_an_app_may_use() -> None:
    table = made(
        {
            "gpt-4o": "chat",
            "claude-*": "coding",
            "claude-real": "chat",
            "o?": "chat",
            "*-x-*": "chat",
            "*": "chat",
            "lost": "no",
        }
    )
    everything = allowed_aliases(AppSpec("a"), table)
    assert {name: target.pool.name for name, target in everything.items()} == {
        "gpt-4o": "chat",
        "claude-coding": "coding",
    }
    assert all(table.resolve(name) == target for name, target in everything.items())
    assert list(allowed_aliases(AppSpec("a", pools=frozenset({"coding"})), table)) == ["claude-coding"]


def test_a_pattern_costs_no_more_than_its_length() -> None:
    aliases = Aliases({"*a" * 30 + "b": "chat"})
    began = time.process_time()
    assert aliases.find("a" * 200) is None
    assert time.process_time() - began < 1
