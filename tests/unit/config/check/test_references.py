"""Names that lead nowhere: of pools, models, providers, capabilities, events and connectors."""

from __future__ import annotations

from typing import Any

import pytest

from meshd.config import MeshConfig
from meshd.core.events.event_type import EventType
from tests.support.config.problems import found, house, said_at


def test_dangling_references_of_pools() -> None:
    config = {
        "providers": house(),
        "models": {"house.a": {"capabilities": ["ocr"]}},
        "pools": {
            "ocr": {
                "models": ["house.b"],
                "providers": ["hause"],
                "excluded_providers": ["nobody"],
                "excluded_models": ["house.x"],
                "model_priority": ["house.a"],
                "provider_priority": ["house", "ollama"],
            }
        },
    }
    assert found(config) == [
        "pools.ocr.models[0]: there is no model 'house.b'; did you mean \"house.a\"?",
        "pools.ocr.excluded_models[0]: there is no model 'house.x'; did you mean \"house.a\"?",
        "pools.ocr.providers[0]: there is no provider 'hause'; did you mean \"house\"?",
        "pools.ocr.excluded_providers[0]: there is no provider 'nobody'",
    ]


def test_providers_that_are_told_of_traces_exist() -> None:
    tracing = {"connector": "opentelemetry.otlp.v1", "propagate": ["house", "nobody"]}
    config = {"providers": house(), "observability": {"tracing": tracing}}
    assert found(config) == ["observability.tracing.propagate[1]: there is no provider 'nobody'"]
    tracing["propagate"] = ["*"]
    assert found(config) == []


def test_models_that_are_found_rather_than_listed_may_be_named() -> None:
    pools = {"ocr": {"models": ["house.anything", "ollama.llama3"]}}
    assert found({"providers": house(), "pools": pools}) == []
    listed = {"house.a": {"capabilities": ["ocr"]}}
    assert len(found({"providers": house(), "models": listed, "pools": pools})) == 1
    assert found({"providers": house(catalogue={"auto_discover": True}), "models": listed, "pools": pools}) == []


def test_a_model_needs_a_provider() -> None:
    (problem,) = found({"models": {"gpt-4o": {"capabilities": ["ocr"]}}})
    assert problem == "models.gpt-4o: `provider` is missing, and the id does not begin with a provider's name"


def test_discovery_names_providers() -> None:
    assert found({"providers": house(), "discovery": {"health": {"providers": ["hose"]}}}) == [
        "discovery.health.providers[0]: there is no provider 'hose'; did you mean \"house\"?"
    ]


# -- capabilities -------------------------------------------------------------------------------------


def test_a_model_serves_leaves() -> None:
    (problem,) = found({"providers": house(), "models": {"house.a": {"capabilities": ["text-generation"]}}})
    assert "text-generation is a branch" in problem
    assert "chat-completion" in problem


def test_a_pool_targets_any_node_and_its_name_may_be_one() -> None:
    assert found({"pools": {"embeddings": None, "x": {"capability": "generation"}}}) == []
    (problem,) = found({"pools": {"cheap": {}}})
    assert problem == "pools.cheap: has neither `models` nor `capability`, and its name is not a capability"
    (problem,) = found({"pools": {"x": {"capability": "chat"}}})
    assert "unknown capability 'chat'" in problem


def test_custom_capabilities() -> None:
    config = {
        "capabilities": {"compliance": ["pii-detection"], "text-generation": {"verse": ["sonnet"]}},
        "providers": house(),
        "models": {"house.a": {"capabilities": ["pii-detection", "sonnet"]}},
        "pools": {"compliance": {}, "verse": {}},
    }
    assert found(config) == []
    for bad in ({"bad.name": ["x"]}, {"a": 5}, {"a": [["x"]]}, {"a": [{"x": ["y"]}]}, {"a": {"b": 1}}, {"b c": ["d"]}):
        (problem,) = found({"capabilities": bad})
        assert problem.startswith(f"capabilities.{next(iter(bad))}: expected a map or list")
    assert MeshConfig(config).capability_tree().resolve("sonnet") == "generation.text-generation.verse.sonnet"


# -- connectors ---------------------------------------------------------------------------------------


def test_unknown_connectors_with_the_nearest() -> None:
    assert found({"storage": {"connector": "modelmesh.sqlit.v1"}}) == [
        "storage.connector: unknown storage connector 'modelmesh.sqlit.v1'; did you mean \"modelmesh.sqlite.v1\"?"
    ]
    assert found({"observability": {"routing": ["modelmesh.consle.v1"]}}) == [
        "observability.routing[0]: unknown observability connector 'modelmesh.consle.v1'; "
        'did you mean "modelmesh.console.v1"?'
    ]
    assert found({"hooks": ["openai.v1"]}) == ["hooks[0]: unknown hook connector 'openai.v1'"]
    assert found({"providers": {"house": None}}) == ["providers.house: names no `connector`, and 'house' is not one"]


@pytest.mark.parametrize(
    ("pool", "empty"),
    [
        ({"models": ["house.a"], "excluded_models": ["house.a"]}, True),
        ({"models": ["house.a"], "excluded_providers": ["house"]}, True),
        ({"models": ["house.a"], "providers": ["other"]}, True),
        ({"capability": "chat-completion", "excluded_providers": ["house", "other"]}, True),
        ({"capability": "chat-completion", "providers": ["other"], "excluded_models": ["other.b"]}, True),
        ({"models": ["house.a", "other.b"], "providers": ["other"]}, False),
        ({"capability": "chat-completion", "excluded_models": ["house.a"]}, False),
        ({"capability": "chat-completion", "excluded_models": ["house.a"], "excluded_providers": ["other"]}, True),
        ({"capability": "chat-completion", "providers": ["free"], "excluded_models": ["house.a", "other.b"]}, False),
    ],
)
def test_a_pool_that_excludes_all_its_models(pool: dict[str, Any], empty: bool) -> None:
    address = {"connector": "openai-compatible.v1", "base_url": "http://h/v1"}
    config: dict[str, Any] = {
        "providers": {"house": address, "other": address},
        "models": {"house.a": {}, "other.b": {}},
        "pools": {"p": pool},
    }
    if "free" in pool.get("providers", ()):
        config["providers"]["free"] = address  # nothing of it is listed: it is asked what it has
    assert ("pools.p" in said_at(config)) is empty


def test_an_unknown_event_is_told_the_nearest() -> None:
    (problem,) = found({"providers": house(), "observability": {"routing": {"events": ["model_deactivate"]}}})
    assert problem.startswith("observability.routing.events")
    assert problem.endswith('did you mean "model_deactivated"?')


@pytest.mark.parametrize("type", EventType)
def test_every_event_can_be_chosen(type: EventType) -> None:
    assert found({"providers": house(), "observability": {"routing": {"events": [str(type)]}}}) == []


@pytest.mark.parametrize("part", ["routing", "logging", "statistics"])
@pytest.mark.parametrize("beside", [{}, {"connector": None}, {"connector": []}])
def test_a_sink_that_is_not_named_has_no_keys(part: str, beside: dict[str, Any]) -> None:
    (problem,) = found({"observability": {part: {"path": "/tmp/x", **beside}}})
    assert problem.startswith(f"observability.{part}.path: unknown key")
    assert found({"observability": {part: {"path": "/tmp/x", "connector": "modelmesh.file.v1"}}}) == []
