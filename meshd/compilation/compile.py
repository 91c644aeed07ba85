"""From a configuration to the routing table and the connectors' settings.

Owns: how sections, the catalogue and discovery's findings become models and pools.
Must never: do I/O, or hold anything between two compilations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from meshd.catalogue.known import ModelRow, provider_row
from meshd.catalogue.retirements import retirement
from meshd.compilation.apps import compile_allowances, compile_app, compile_matches, compile_rate
from meshd.compilation.managed import managed_server
from meshd.compilation.models.known_models import KnownModels
from meshd.compilation.models.listed_names import ListedNames
from meshd.compilation.models.output_limits import limit_of
from meshd.compilation.pools import compile_pools
from meshd.config import MeshConfig
from meshd.config.schema import ModelConfig, PricingConfig, ProviderConfig
from meshd.config.schema.connectors.usual_settings import QuirksConfig
from meshd.connectors.providers.addresses import lacking
from meshd.connectors.registry import ConnectorRegistry
from meshd.core.prices import BATCH, CACHE_WRITES, PRICES, PriceRow, Pricing
from meshd.routing.table.access import AppMatch
from meshd.routing.table.aliases import Aliases
from meshd.routing.table.capabilities import CapabilityTree
from meshd.routing.table.specs import KeySpec, ModelSpec, Origin, ProviderSpec, RoutingTable
from meshd.sdk.http.credentials import is_keyed
from meshd.sdk.provider import Provider, ProviderSettings
from modelmesh.errors import ConfigurationError


class Discovered(msgspec.Struct, frozen=True):
    """What discovery knows about a provider. models: `ModelListing` fields as maps. settings: its section, if the
    configuration has none (a local server that was found)."""

    models: tuple[Mapping[str, Any], ...] = ()
    settings: Mapping[str, Any] | None = None


class Directories(msgspec.Struct, frozen=True):
    runtime: str = ""
    data: str = ""


@dataclass(slots=True)
class Compiled:
    table: RoutingTable
    providers: dict[str, ProviderSettings]
    matches: tuple[AppMatch, ...] = ()
    notes: list[str] = field(default_factory=list)


def compile_config(
    config: MeshConfig,
    registry: ConnectorRegistry,
    discovered: Mapping[str, Discovered],
    missing_secrets: Mapping[str, str],
    directories: Directories,
) -> Compiled:
    """The parts of a generation. `config` has been validated, and its secrets are resolved.

    missing_secrets: provider → why its key is missing; such a provider is disabled.
    """
    found = {name for name, known in discovered.items() if known.settings is not None}
    tree = config.capability_tree()
    specs: dict[str, ProviderSpec] = {}
    settings: dict[str, ProviderSettings] = {}
    notes: list[str] = []
    for name, provider in config.providers.items():
        if not provider.enabled:
            continue
        settings[name] = replace(
            provider_settings(name, provider, registry, directories, config.secrets_of_provider(name)),
            found=name in found,
        )
        disabled = missing_secrets.get(name, "") or lacking(settings[name])
        if disabled:
            notes.append(f"provider {name} is left out: {disabled}")
        specs[name] = _provider_spec(name, provider, disabled, settings[name], _formats_of(settings[name], registry))
    names = ListedNames(config.models, [name for name in config.providers if name not in found], found)
    known = KnownModels(directories.data)
    notes += known.notes
    models = list(_models(config, specs, settings, discovered, tree, names, known))
    pools = list(compile_pools(config, models, tree))
    notes += names.notes(models, [pool.name for pool in pools])
    apps = [compile_app(name, app) for name, app in config.apps.items()]
    allowances = compile_allowances(config, pools)
    table = RoutingTable(
        tree, models, specs.values(), pools, apps, allowances, config.daemon.timezone, Aliases(config.aliases)
    )
    notes += _useless_aliases(table)
    return Compiled(table, settings, tuple(compile_matches(config)), notes)


def _useless_aliases(table: RoutingTable) -> Iterable[str]:
    for alias in table.aliases.all:
        if table.named(alias.target) is None:
            yield f"alias {alias.name} stands for {alias.target}, which does not exist"
        elif not alias.is_pattern and (named := table.named(alias.name)) is not None:
            yield f"alias {alias.name} is not used: a {named.kind} has that name"


# -- providers ----------------------------------------------------------------------------------------


def _formats_of(settings: ProviderSettings, registry: ConnectorRegistry) -> tuple[str, ...]:
    """The formats that it speaks. A connector that cannot be used is reported where it is needed."""
    try:
        connector: Any = registry.get_connector(settings.connector, "provider")
        return tuple(connector.formats(settings))
    except (ConfigurationError, ValueError):
        return (Provider.speaks,)


def _provider_spec(
    name: str, provider: ProviderConfig, disabled: str, settings: ProviderSettings, formats: tuple[str, ...]
) -> ProviderSpec:
    return ProviderSpec(
        name=name,
        connector=provider.connector or name,
        timeout=provider.timeout,
        retryable_codes=frozenset(provider.error.retryable_codes),
        non_retryable_codes=frozenset(provider.error.non_retryable_codes),
        disabled=disabled,
        rate=compile_rate(provider.rate_limit),
        keyed=is_keyed(settings),
        app_keys=settings.auth_method == "passthrough",
        passthrough=provider.passthrough,
        fine_tuning=bool(provider.fine_tuning.supported),
        keys=tuple(KeySpec(fingerprint(key), weight) for key, weight in weighted_keys(provider)),
        quota_reset=provider.quota.reset_schedule,
        formats=formats,
    )


def weighted_keys(provider: ProviderConfig) -> list[tuple[str, float]]:
    """(key, weight) for each key of a provider with several, `api_key` included. Empty if there are fewer than two."""
    keys = {provider.api_key: 1.0} if provider.api_key else {}
    for entry in provider.api_keys:
        keys |= {entry: 1.0} if isinstance(entry, str) else {entry.key: entry.weight}
    return list(keys.items()) if len(keys) > 1 else []


def fingerprint(key: str) -> str:
    """The name of a key in logs and state."""
    return hashlib.sha256(key.encode()).hexdigest()[:8]


def provider_settings(
    name: str,
    provider: ProviderConfig,
    registry: ConnectorRegistry,
    directories: Directories,
    secrets: Iterable[str] = (),
) -> ProviderSettings:
    """The settings of the provider's connector."""
    connector = provider.connector or name
    spec = registry.find(connector, "provider")
    row = spec.row if spec is not None else {}
    return ProviderSettings(
        name=name,
        connector=spec.id if spec is not None else connector,
        base_url=provider.base_url or row.get("base_url"),
        api_key=provider.api_key or _only_key(provider),
        api_keys={fingerprint(key): key for key, _ in weighted_keys(provider)},
        auth_method=_auth_method(provider, row),
        auth=provider.auth.of_method,
        timeout=provider.timeout,
        connect_timeout=provider.connect_timeout,
        max_retries=provider.max_retries,
        max_connections=provider.connection_pool.max_connections,
        keepalive=provider.connection_pool.keepalive,
        http2=provider.connection_pool.http2,
        headers=provider.headers,
        options=provider.settings,
        quirks={**row.get("quirks", {}), **_quirks(provider)},
        secrets=tuple(sorted(secrets)),
        runtime_dir=directories.runtime,
        data_dir=directories.data,
        managed=managed_server(provider.managed),
    )


def _auth_method(provider: ProviderConfig, row: Mapping[str, Any]) -> str | None:
    """None: the key, as the connector sends it."""
    return provider.auth.method or (None if provider.api_key or provider.api_keys else row.get("auth", "none"))


def _quirks(provider: ProviderConfig) -> dict[str, Any]:
    """Those of the configuration. Invalid ones stay out: validation reports them."""
    told = provider.settings.get("quirks")
    return told.given if isinstance(told, QuirksConfig) else {}


def _only_key(provider: ProviderConfig) -> str | None:
    first = next(iter(provider.api_keys), None)
    return first if first is None or isinstance(first, str) else first.key


# -- models -------------------------------------------------------------------------------------------


def _models(
    config: MeshConfig,
    specs: Mapping[str, ProviderSpec],
    settings: Mapping[str, ProviderSettings],
    discovered: Mapping[str, Discovered],
    tree: CapabilityTree,
    names: ListedNames,
    known: KnownModels,
) -> Iterable[ModelSpec]:
    """The configured models. Providers without configured models, and those with discovery, also have the discovered
    ones, or else the catalogue's."""
    taken: set[tuple[str, str]] = set()
    # A disabled entry removes only that model.
    with_models = {model.provider for model in config.models.values() if model.enabled}
    for id, model in config.models.items():
        taken.add((model.provider, model.model))
        if model.enabled and model.provider in specs:
            connector = settings[model.provider].connector
            yield _configured(id, model, known, config.providers[model.provider], connector, tree)
    for name in specs:
        provider = config.providers[name]
        everything = provider.catalogue.auto_discover or config.discovery.sync.auto_register
        if name in with_models and not everything:
            continue
        connector = settings[name].connector
        found = discovered.get(name)
        listed = [dict(entry) for entry in found.models] if found is not None and found.models else None
        if listed is None:
            listed = [{"id": id} for id in known.of(connector)]
        for entry in listed:
            spec = _discovered(settings[name], entry, known, provider, tree)
            # Configured models stay as they are.
            if (name, spec.upstream) not in taken and names.take(spec):
                yield spec


def _configured(
    id: str,
    model: ModelConfig,
    rows: KnownModels,
    provider: ProviderConfig,
    connector: str,
    tree: CapabilityTree,
) -> ModelSpec:
    known = rows.row(connector, model.model)
    capabilities = model.capabilities or (known.capabilities if known else ()) or ("chat-completion",)
    said = {name: value for name, value in model.features.model_dump().items() if value is not None}
    of_row = _known_features(known) or dict.fromkeys(rows.features(connector, model.model, capabilities), True)
    features = {**of_row, **said}
    constraints = model.constraints
    pricing = prices_of(model.pricing, provider.pricing, known)
    if model.batch.cost_discount is not None:
        pricing = pricing.with_discount(BATCH, model.batch.cost_discount)
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
        max_file_size=constraints.max_file_size,
        languages=constraints.supported_languages,
        batch=model.delivery.batch,
        pricing=pricing,
        priced=_is_priced(model.pricing, provider.pricing, known, connector),
        vocabulary=known.vocabulary if known else "",
        tokens_per_image=known.tokens_per_image if known else 0,
        defaults={**(known.parameters if known else {}), **model.defaults},
        overrides=model.overrides,
        retires=retirement(connector, model.model),
        priced_on=_priced_on(known, model.pricing, provider.pricing),
        **_limits(connector, model.model, pricing),
    )


def _discovered(
    settings: ProviderSettings,
    entry: Mapping[str, Any],
    rows: KnownModels,
    provider: ProviderConfig,
    tree: CapabilityTree,
) -> ModelSpec:
    connector = settings.connector
    known = rows.row(connector, entry["id"])
    capabilities = (known.capabilities if known else ()) or entry.get("capabilities") or ("chat-completion",)
    features = _known_features(known, entry.get("features") or ())
    features = features or dict.fromkeys(rows.features(connector, entry["id"], capabilities), True)
    return ModelSpec(
        id=f"{settings.name}.{entry['id']}",
        provider=settings.name,
        upstream=entry["id"],
        capabilities=_leaves(capabilities, tree),
        features=features or None,
        context_window=entry.get("context_window") or (known.context_window if known else None),
        max_output_tokens=entry.get("max_output_tokens") or (known.max_output_tokens if known else None),
        pricing=(pricing := prices_of(PricingConfig.unset(), provider.pricing, known)),
        priced=_is_priced(PricingConfig.unset(), provider.pricing, known, connector),
        vocabulary=known.vocabulary if known else "",
        tokens_per_image=known.tokens_per_image if known else 0,
        defaults=known.parameters if known else {},
        origin=Origin.FOUND if settings.found else Origin.CATALOGUE if known and known.capabilities else Origin.LISTED,
        retires=entry.get("retires") or retirement(connector, entry["id"]),
        priced_on=_priced_on(known, provider.pricing),
        **_limits(connector, entry["id"], pricing),
    )


def _priced_on(known: ModelRow | None, *configured: PricingConfig) -> str:
    """The day of the catalogue's prices, if they are the ones in use."""
    return known.date if known is not None and known.prices and not any(map(_given, configured)) else ""


def _limits(connector: str, model: str, pricing: Pricing) -> dict[str, Any]:
    """What `limits.toml` says about the model; a configured cache price takes precedence."""
    found = limit_of(connector, model)
    if pricing.write_percent is not None:
        found["cache_write_percent"] = pricing.write_percent
    return found


def _known_features(known: ModelRow | None, listed: Collection[str] = ()) -> dict[str, bool]:
    """The features that the provider's list declares, else the catalogue row's; and those that the row denies."""
    does = listed or (known.features if known is not None else ())
    return dict.fromkeys(known.lacks if known is not None else (), False) | dict.fromkeys(does, True)


def _leaves(names: Iterable[str], tree: CapabilityTree) -> tuple[str, ...]:
    found = (tree.resolve(name) for name in names)
    return tuple(dict.fromkeys(node for node in found if node is not None))


def prices_of(model: PricingConfig, provider: PricingConfig, known: ModelRow | None) -> Pricing:
    """Each price: the model's own, else its provider's, else the catalogue's."""
    listed = known.pricing if known is not None else None
    configured = {**_given(provider), **_given(model)}
    long = () if known is None else known.pricing_of_long_prompts
    tiers = {} if known is None else known.pricing_of_tiers
    if not {"input_per_1m", "output_per_1m"}.isdisjoint(configured):
        # Configured prices apply to every prompt and tier, and a catalogue price for cache writes belongs to its
        # input price.
        long, tiers = (), {}
        listed = {key: price for key, price in (listed or {}).items() if key not in CACHE_WRITES}
    return Pricing.of({**(listed or {}), **configured}, long, _rows_of_images(model, provider, known), tiers)


def _rows_of_images(model: PricingConfig, provider: PricingConfig, known: ModelRow | None) -> tuple[PriceRow, ...]:
    """Configured prices of images replace all rows of the catalogue."""
    for prices in (model, provider):
        if prices.images or "per_image" in _given(prices):
            return tuple(PriceRow(row.of, row.price) for row in prices.images)
    return known.pricing_of_images if known is not None else ()


def _given(prices: PricingConfig) -> dict[str, int]:
    return {key: price for key in PRICES if (price := getattr(prices, key)) is not None}


def _is_priced(model: PricingConfig, provider: PricingConfig, known: ModelRow | None, connector: str) -> bool:
    """Whether its price is known. Models on this machine cost nothing."""
    if known is not None and known.pricing is not None:
        return True
    row = provider_row(connector)
    local = connector.startswith("modelmesh.") or (row is not None and row.local)
    return local or any(_given(prices) or prices.images for prices in (model, provider))
