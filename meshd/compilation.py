"""From a configuration to what runs: the routing table and the connectors' settings.

Owns: how sections, the catalogue and discovery's findings become models and pools.
Must never: do I/O, or hold anything between two compilations.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from meshd.catalogue import ModelRow, load_models
from meshd.cdk.provider import ProviderSettings
from meshd.config import MeshConfig
from meshd.config.schema import ModelConfig, PoolConfig, PricingConfig, ProviderConfig
from meshd.connectors.registry import ConnectorRegistry
from meshd.routing.capabilities import PREDEFINED_POOLS, CapabilityTree
from meshd.routing.table import (
    DeactivationPolicy,
    ModelSpec,
    PoolSpec,
    Pricing,
    ProviderSpec,
    RecoveryPolicy,
    RetryPolicy,
    RoutingTable,
    StreamPolicy,
)

_VARIABLE = re.compile(r"\$\{env:(\w+)\}")


@dataclass(frozen=True, slots=True)
class Discovered:
    """What discovery knows of a provider. models: `ModelListing` fields as maps. settings: its section, where
    no configuration has one (a local server that was found)."""

    models: tuple[Mapping[str, Any], ...] = ()
    settings: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Directories:
    runtime: str = ""
    data: str = ""


@dataclass(slots=True)
class Compiled:
    table: RoutingTable
    providers: dict[str, ProviderSettings]
    notes: list[str] = field(default_factory=list)


def compile_config(
    config: MeshConfig,
    registry: ConnectorRegistry,
    discovered: Mapping[str, Discovered],
    missing_secrets: Mapping[str, str],
    directories: Directories,
) -> Compiled:
    """Everything a generation runs by. `config` is valid and has its secrets.

    missing_secrets: provider → why its key cannot be had; such a provider is there, and disabled.
    """
    tree = config.capability_tree()
    specs: dict[str, ProviderSpec] = {}
    settings: dict[str, ProviderSettings] = {}
    notes: list[str] = []
    for name, provider in config.providers.items():
        if not provider.enabled:
            continue
        settings[name] = provider_settings(name, provider, registry, directories)
        disabled = missing_secrets.get(name, "") or _unset_variables(settings[name].base_url)
        if disabled:
            notes.append(f"provider {name} is disabled: {disabled}")
        specs[name] = _provider_spec(name, provider, disabled)
    models = list(_models(config, specs, settings, discovered, tree))
    pools = list(_pools(config, models, specs, tree))
    return Compiled(RoutingTable(tree, models, specs.values(), pools), settings, notes)


# -- providers ----------------------------------------------------------------------------------------


def _provider_spec(name: str, provider: ProviderConfig, disabled: str) -> ProviderSpec:
    return ProviderSpec(
        name=name,
        connector=provider.connector or name,
        timeout=provider.timeout,
        retryable_codes=frozenset(provider.error.retryable_codes),
        non_retryable_codes=frozenset(provider.error.non_retryable_codes),
        disabled=disabled,
    )


def _unset_variables(base_url: str | None) -> str:
    """A catalogue's URL may hold variables (an account's id): why it cannot be used without them."""
    unset = [name for name in _VARIABLE.findall(base_url or "") if not os.environ.get(name)]
    return f"set {', '.join(unset)}, or base_url" if unset else ""


def provider_settings(
    name: str, provider: ProviderConfig, registry: ConnectorRegistry, directories: Directories
) -> ProviderSettings:
    """What the provider's connector is made from."""
    connector = provider.connector or name
    spec = registry.find(connector, "provider")
    row = spec.row if spec is not None else {}
    return ProviderSettings(
        name=name,
        connector=spec.id if spec is not None else connector,
        base_url=provider.base_url or row.get("base_url"),
        api_key=provider.api_key,
        auth_method=provider.auth.method or (None if provider.api_key else "none"),
        timeout=provider.timeout,
        connect_timeout=provider.connect_timeout,
        max_retries=provider.max_retries,
        max_connections=provider.connection_pool.max_connections,
        keepalive=provider.connection_pool.keepalive,
        headers=provider.headers,
        options=provider.settings,
        quirks=row.get("quirks", {}),
        runtime_dir=directories.runtime,
        data_dir=directories.data,
    )


# -- models -------------------------------------------------------------------------------------------


def _models(
    config: MeshConfig,
    specs: Mapping[str, ProviderSpec],
    settings: Mapping[str, ProviderSettings],
    discovered: Mapping[str, Discovered],
    tree: CapabilityTree,
) -> Iterable[ModelSpec]:
    """The configured models; and of providers for which none is configured, or that are to be discovered,
    what discovery found, else what the catalogue knows."""
    taken: set[tuple[str, str]] = set()
    ids = set(config.models)
    # An entry that is switched off takes away its own model, and no other.
    with_models = {model.provider for model in config.models.values() if model.enabled}
    for id, model in config.models.items():
        taken.add((model.provider, model.model))
        if model.enabled and model.provider in specs:
            known = _catalogued(settings[model.provider].connector).get(model.model)
            yield _configured(id, model, known, config.providers[model.provider], tree)
    for name in specs:
        provider = config.providers[name]
        everything = provider.catalogue.auto_discover or config.discovery.sync.auto_register
        if name in with_models and not everything:
            continue
        known_models = _catalogued(settings[name].connector)
        found = discovered.get(name)
        listed = [dict(entry) for entry in found.models] if found is not None and found.models else None
        if listed is None:
            listed = [{"id": id} for id in known_models]
        for entry in listed:
            spec = _discovered(name, entry, known_models.get(entry["id"]), provider, tree)
            # What is configured stays as it is, and what is listed twice is there once.
            if (name, spec.upstream) not in taken and spec.id not in ids:
                ids.add(spec.id)
                yield spec


def _catalogued(connector: str) -> dict[str, ModelRow]:
    return {model.id: model for model in load_models(connector)}


def _configured(
    id: str, model: ModelConfig, known: ModelRow | None, provider: ProviderConfig, tree: CapabilityTree
) -> ModelSpec:
    said = {name: value for name, value in model.features.model_dump().items() if value is not None}
    features = {**(dict.fromkeys(known.features, True) if known else {}), **said}
    capabilities = model.capabilities or (known.capabilities if known else ("chat-completion",))
    constraints = model.constraints
    return ModelSpec(
        id=id,
        provider=model.provider,
        upstream=model.model,
        capabilities=_leaves(capabilities, tree),
        weight=model.weight,
        features=features,
        synchronous=model.delivery.synchronous,
        streaming=model.delivery.streaming is not False,
        context_window=constraints.context_window or (known.context_window if known else None),
        max_output_tokens=constraints.max_output_tokens or (known.max_output_tokens if known else None),
        max_images=constraints.max_images,
        pricing=_pricing(model.pricing, provider.pricing, known),
        defaults={**(known.parameters if known else {}), **model.defaults},
        overrides=model.overrides,
    )


def _discovered(
    provider_name: str,
    entry: Mapping[str, Any],
    known: ModelRow | None,
    provider: ProviderConfig,
    tree: CapabilityTree,
) -> ModelSpec:
    features: dict[str, bool] | None = None
    names = entry.get("features") or (known.features if known else ())
    if names:
        features = dict.fromkeys(names, True)
    capabilities = (known.capabilities if known else ()) or entry.get("capabilities") or ("chat-completion",)
    return ModelSpec(
        id=f"{provider_name}.{entry['id']}",
        provider=provider_name,
        upstream=entry["id"],
        capabilities=_leaves(capabilities, tree),
        features=features,
        context_window=entry.get("context_window") or (known.context_window if known else None),
        max_output_tokens=entry.get("max_output_tokens") or (known.max_output_tokens if known else None),
        pricing=_pricing(PricingConfig(), provider.pricing, known),
        defaults=known.parameters if known else {},
    )


def _leaves(names: Iterable[str], tree: CapabilityTree) -> tuple[str, ...]:
    found = (tree.resolve(name) for name in names)
    return tuple(dict.fromkeys(node for node in found if node is not None))


def _pricing(model: PricingConfig, provider: PricingConfig, known: ModelRow | None) -> Pricing:
    """The model's own prices, else its provider's, else the catalogue's: each price by itself."""
    listed = known.pricing if known is not None else None

    def price(name: str) -> int | None:
        for source in (model, provider, listed):
            value: int | None = getattr(source, name, None)
            if value is not None:
                return value
        return None

    return Pricing(
        price("input_per_1m") or 0, price("output_per_1m") or 0, price("cached_input_per_1m"), price("per_request") or 0
    )


# -- pools --------------------------------------------------------------------------------------------


def _pools(
    config: MeshConfig, models: list[ModelSpec], specs: Mapping[str, ProviderSpec], tree: CapabilityTree
) -> Iterable[PoolSpec]:
    """The configured pools; the predefined ones that nobody configured and a model fits; and, where no pools
    are configured at all, each leaf that has a model."""
    models_by_id = {model.id: model for model in models}
    by_capabilities: dict[tuple[str, ...], list[ModelSpec]] = {}
    for model in models:
        by_capabilities.setdefault(model.capabilities, []).append(model)
    positions = {id: position for position, id in enumerate(models_by_id)}

    def matching(node: str) -> list[ModelSpec]:
        """In the order of the models. Thousands of them have but a few sets of capabilities."""
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
    made = set(config.pools)
    wanted = dict(PREDEFINED_POOLS)
    if not config.pools:
        wanted |= {tree.alias(leaf): leaf for leaves in by_capabilities for leaf in leaves}
    for name, node in wanted.items():
        members = tuple(model.id for model in matching(node))
        if members and name not in made:
            yield PoolSpec(name=name, capability=node, members=members)


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
    retry, deactivation = pool.retry, pool.deactivation
    return PoolSpec(
        name=name,
        capability=node,
        members=tuple(kept),
        strategy=pool.strategy,
        model_priority=pool.model_priority,
        provider_priority=pool.provider_priority,
        retry=RetryPolicy(
            max_attempts=retry.max_attempts,
            backoff=retry.backoff,
            initial_delay=retry.initial_delay,
            max_delay=retry.max_delay,
            retryable_codes=None if retry.retryable_codes is None else frozenset(retry.retryable_codes),
            non_retryable_codes=None if retry.non_retryable_codes is None else frozenset(retry.non_retryable_codes),
            scope=retry.scope,
            honor_retry_after=retry.honor_retry_after,
            deadline=retry.deadline,
        ),
        deactivation=DeactivationPolicy(
            deactivation.retry_limit,
            None if deactivation.error_codes is None else frozenset(deactivation.error_codes),
        ),
        recovery=RecoveryPolicy(pool.recovery.cooldown, pool.recovery.max_cooldown),
        stream=StreamPolicy(pool.stream.first_token_timeout, pool.stream.idle_timeout),
        deactivate_on_auth_failure="on_auth_failure" in pool.provider_deactivation,
        deactivate_on_outage="on_api_outage" in pool.provider_deactivation,
        recover_on_probe=pool.provider_recovery == "on_probe_success",
    )
