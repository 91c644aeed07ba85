"""The capability tree: ids, aliases, what lies above and below."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from meshd.routing.table.capabilities import PREDEFINED_POOLS, CapabilityTree

TREE = CapabilityTree.default()
CHAT = "generation.text-generation.chat-completion"


@pytest.mark.parametrize("name", [CHAT, "chat-completion"])
def test_a_leaf_is_known_by_its_path_and_by_its_last_segment(name: str) -> None:
    assert TREE.resolve(name) == CHAT
    assert TREE.get_node(name) == CHAT


def test_an_unambiguous_inner_segment_is_an_alias() -> None:
    assert TREE.resolve("text-generation") == "generation.text-generation"


def test_a_segment_that_stands_twice_is_not_an_alias() -> None:
    tree = CapabilityTree.default()
    tree.add_all({"compliance": ["classification"]})
    assert tree.resolve("classification") is None
    assert tree.resolve("compliance.classification") == "compliance.classification"
    assert tree.alias("compliance.classification") == "compliance.classification"
    assert tree.alias(CHAT) == "chat-completion"


@pytest.mark.parametrize("name", ["", "chat", "generation.chat-completion", "Chat-Completion"])
def test_what_is_not_a_node_resolves_to_none(name: str) -> None:
    assert TREE.resolve(name) is None


def test_an_unknown_capability_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(KeyError, match="did you mean chat-completion"):
        TREE.get_node("chat-completions")
    with pytest.raises(KeyError) as caught:
        TREE.get_node("xyzzy")
    assert "did you mean" not in str(caught.value)


def test_ancestors_go_up_to_the_category() -> None:
    assert TREE.get_ancestors("chat-completion") == ["generation.text-generation", "generation"]
    assert TREE.get_ancestors("generation") == []


def test_descendants() -> None:
    below = ["chat-completion", "text-completion", "code-generation"]
    assert TREE.get_descendants("text-generation") == [f"generation.text-generation.{name}" for name in below]
    everything = TREE.get_descendants("generation")
    assert everything.index("generation.text-generation") < everything.index(CHAT)


def test_leaves_of_a_node_of_a_leaf_and_of_all() -> None:
    assert TREE.get_leaves("embeddings") == TREE.get_descendants("embeddings")
    assert TREE.get_leaves("chat-completion") == [CHAT]
    assert TREE.get_leaves("rewriting") == ["transformation.rewriting"]
    assert CHAT in TREE.get_leaves()
    assert "generation" not in TREE.get_leaves()
    assert TREE.is_leaf("chat-completion")
    assert not TREE.is_leaf("generation")


def test_a_node_covers_itself_and_what_is_below() -> None:
    assert TREE.covers(CHAT, CHAT)
    assert TREE.covers("generation", CHAT)
    assert not TREE.covers("gen", CHAT)
    assert not TREE.covers(CHAT, "generation")


def test_categories() -> None:
    assert [node for node in TREE.list_all() if "." not in node] == [
        "generation",
        "understanding",
        "transformation",
        "representation",
        "retrieval",
        "interaction",
        "evaluation",
    ]
    assert len(TREE.list_all()) == len(set(TREE.list_all()))


def test_custom_nodes_follow_the_same_rules() -> None:
    tree = CapabilityTree.default()
    tree.add_all({"compliance": ["pii-detection", "regulatory-review"], "text-generation": {"legal": ["contracts"]}})
    assert tree.resolve("pii-detection") == "compliance.pii-detection"
    assert tree.resolve("contracts") == "generation.text-generation.legal.contracts"
    assert "compliance" in tree.list_all()
    assert TREE.resolve("pii-detection") is None, "one configuration's nodes do not appear in another's"


def test_adding_a_node_twice_is_not_an_error() -> None:
    tree = CapabilityTree.default()
    assert tree.add_node("text-generation", "poems") == tree.add_node("generation.text-generation", "poems")
    assert tree.get_descendants("text-generation").count("generation.text-generation.poems") == 1
    assert tree.resolve("poems") == "generation.text-generation.poems"


@pytest.mark.parametrize("name", ["", "a.b"])
def test_a_name_is_one_segment(name: str) -> None:
    with pytest.raises(ValueError, match="one segment"):
        CapabilityTree.default().add_node("generation", name)


def test_a_parent_has_to_exist() -> None:
    with pytest.raises(KeyError, match="unknown capability"):
        CapabilityTree.default().add_node("nowhere", "poems")


def test_predefined_pools_target_nodes_that_exist() -> None:
    assert all(TREE.get_node(node) == node for node in PREDEFINED_POOLS.values())


@given(some.sampled_from(TREE.list_all()))
def test_every_node_is_found_by_its_alias(node: str) -> None:
    assert TREE.resolve(TREE.alias(node)) == node
    assert all(TREE.covers(above, node) for above in TREE.get_ancestors(node))
