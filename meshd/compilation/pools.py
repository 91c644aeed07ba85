"""Pools: members and policies from the section `pools`, the predefined pools and the capability tree.

Owns: the members of each pool.
Must never: look at live state; what is preferred or possible now is decided per request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from meshd.config import MeshConfig
from meshd.config.schema import PoolConfig
from meshd.core.by_name import fields_of, record_of
from meshd.operations.known import answered
from meshd.routing.select.require import unmet
from meshd.routing.table.capabilities import PREDEFINED_POOLS, CapabilityTree
from meshd.routing.table.policies import (
    CachePolicy,
    DeactivationPolicy,
    PacingPolicy,
    RecoveryPolicy,
    RetryPolicy,
    SessionPolicy,
    StreamPolicy,
)
from meshd.routing.table.specs import ModelSpec, PoolSpec

if TYPE_CHECKING:
    from meshd.routing.select.expression import Selection


_POLICIES = {
    "retry": RetryPolicy,
    "deactivation": DeactivationPolicy,
    "recovery": RecoveryPolicy,
    "stream": StreamPolicy,
    "session": SessionPolicy,
    "cache": CachePolicy,
}


def compile_pools(config: MeshConfig, models: list[ModelSpec], tree: CapabilityTree) -> Iterable[PoolSpec]:
    """The configured pools; predefined ones that are not configured and have a model; and, if no pool is configured,
    one for each leaf with a model. Capabilities that no operation asks for get no pool, since requests for them would
    be refused."""
    models_by_id = {model.id: model for model in models}
    by_capabilities: dict[tuple[str, ...], list[ModelSpec]] = {}
    for model in models:
        by_capabilities.setdefault(model.capabilities, []).append(model)
    positions = {id: position for position, id in enumerate(models_by_id)}

    def matching(node: str) -> list[ModelSpec]:
        """In the order of the models. Each distinct set of capabilities is checked once: even thousands of models have
        only a few."""
        found = [
            model
            for leaves, group in by_capabilities.items()
            if any(tree.covers(node, leaf) for leaf in leaves)
            for model in group
        ]
        return sorted(found, key=lambda model: positions[model.id])

    for name, pool in config.pools.items():
        node = tree.resolve(pool.capability) if pool.capability else None
        yield _configured_pool(name, pool, node or "", matching(node) if node else [], models_by_id)
    taken = {*config.pools, *config.models, *(model.model for model in config.models.values())}
    wanted = dict(PREDEFINED_POOLS)
    asked = dict.fromkeys(leaf for leaves in by_capabilities for leaf in leaves if answered(leaf))
    if not config.pools:
        wanted |= {tree.alias(leaf): leaf for leaf in asked}
    for name, node in wanted.items():
        if not any(tree.covers(node, leaf) for leaf in asked):
            continue
        members = tuple(
            model.id
            for model in matching(node)
            if any(leaf in asked and tree.covers(node, leaf) for leaf in model.capabilities)
        )
        if members and name not in taken:
            yield PoolSpec(name=name, capability=node, members=members, configured=False)


def _selection(text: str) -> Selection:
    from meshd.routing.select.expression import compile_selection

    return compile_selection(text)


def _configured_pool(
    name: str, pool: PoolConfig, node: str, matched: list[ModelSpec], models: Mapping[str, ModelSpec]
) -> PoolSpec:
    explicit = [models[id] for id in pool.models if id in models]
    kept = dict.fromkeys(
        model.id
        for model in [*explicit, *matched]
        if (not pool.providers or model.provider in pool.providers)
        and model.provider not in pool.excluded_providers
        and model.id not in pool.excluded_models
    )
    if pool.require:
        kept = {id: None for id in kept if unmet(pool.require, models[id]) is None}
    selection = _selection(pool.select) if pool.select else None
    if selection is not None and not selection.live:
        scores = {id: score for id in kept if (score := selection.score(models[id])) is not None}
        kept = dict.fromkeys(sorted(scores, key=lambda id: -scores[id]))
    return PoolSpec(
        name=name,
        capability=node,
        members=tuple(kept),
        select=selection if selection is not None and selection.live else None,
        pacing=record_of(PacingPolicy, pool.rate_limit),
        hedge_after=pool.hedge.after,
        mark_caches=pool.prompt_caching == "auto",
        deactivate_on_auth_failure="on_auth_failure" in pool.provider_deactivation,
        deactivate_on_outage="on_api_outage" in pool.provider_deactivation,
        recover_on_probe=pool.provider_recovery == "on_probe_success",
        # All others have the same names in the configuration, and so have the fields of their policies.
        **fields_of(PoolSpec, pool, _POLICIES, but=("capability", "select")),
    )
