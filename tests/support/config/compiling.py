"""Configurations of one provider, compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshd.catalogue.known import ModelRow
from meshd.compilation.compile import Compiled, Directories, Discovered, compile_config
from meshd.config import MeshConfig
from meshd.connectors.registry import ConnectorRegistry, default_registry
from meshd.routing.table.specs import PoolSpec

HOUSE = {"connector": "openai-compatible.v1", "base_url": "http://house/v1"}
CHAT = "generation.text-generation.chat-completion"
COMPLETION = "generation.text-generation.text-completion"
EMBEDDINGS = "representation.embeddings.text-embeddings"
ROW = ModelRow(
    provider="openai-compatible.v1",
    id="known",
    capabilities=("chat-completion", "code-generation"),
    context_window=8000,
    max_output_tokens=2000,
    features=("tool_calling", "vision"),
    prices={"input_per_1m": "0.15", "output_per_1m": "0.60", "cached_input_per_1m": "0.075"},
    source="test",
    date="2026-01-01",
)


def compiled(
    raw: Mapping[str, Any],
    discovered: Mapping[str, Discovered] | None = None,
    missing: Mapping[str, str] | None = None,
    registry: ConnectorRegistry | None = None,
    environ: Mapping[str, str] | None = None,
) -> Compiled:
    config = MeshConfig.from_dict({"providers": {"house": HOUSE}, **raw}, environ=environ or {})
    assert config.validate() == []
    return compile_config(
        config, registry or default_registry(), discovered or {}, missing or {}, Directories("/run/x", "/data/x")
    )


def chat(*ids: str, **of_each: Any) -> dict[str, Any]:
    """Models of the house that can chat."""
    return {id: {"provider": "house", "capabilities": ["chat-completion"], **of_each} for id in ids}


def pools(made: Compiled) -> dict[str, tuple[str, ...]]:
    return {name: pool.members for name, pool in made.table.pools.items()}


def pool(section: dict[str, Any], models: dict[str, Any] | None = None, **more: Any) -> PoolSpec:
    """The configured pool "chat"."""
    models = models if models is not None else chat("house.a", "house.b", "house.c")
    return compiled({"models": models, "pools": {"chat": section}, **more}).table.pools["chat"]


def listed(*ids: str, **more: Any) -> dict[str, Discovered]:
    return {"house": Discovered(tuple({"id": id, **more} for id in ids))}
