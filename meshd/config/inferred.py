"""Completes the typed views with inferred values.

Owns: a provider's connector and implied key, a model's provider and id, which sink has which keys.
Must never: fail on a configuration that pydantic accepted; validation reports what cannot be inferred.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from meshd.config.check.connectors import own_settings
from meshd.config.check.sections.auth import method_of, sends_no_key
from meshd.config.check.validation import infer_provider
from meshd.config.schema import ConnectorEntry, ModelConfig, PoolConfig, RootConfig
from meshd.config.schema.base import OpenSection
from meshd.config.schema.observability import ObservabilityConfig
from meshd.connectors.registry import ConnectorRegistry, default_registry

_VENDOR = re.compile(r"[A-Za-z][A-Za-z-]*\.(?=[A-Za-z])")
"""Looks like "vendor.", not like the beginning of a version, as in "gpt-4.1" or "llama3.2"."""


def implied_keys(flat: dict[str, Any]) -> dict[str, str]:
    """Provider name → the reference for its key, for those that need one and give none."""
    registry = default_registry()
    providers = flat.get("providers")
    found = {}
    for name, entry in (providers if isinstance(providers, dict) else {}).items():
        if not isinstance(entry, dict) or entry.get("api_key") is not None or entry.get("api_keys"):
            continue
        spec = registry.find(str(entry.get("connector") or name), "provider")
        if spec is not None and spec.key_env and not sends_no_key(method_of(entry, spec.row)):
            found[name] = f"${{secrets:{spec.key_env[0]}}}"
    return found


def complete(root: RootConfig, keys: dict[str, str]) -> RootConfig:
    """The same root with everything inferred. keys: implied API keys by provider."""
    registry = default_registry()
    providers = {
        name: provider.model_copy(
            update={
                **own_settings(registry.find(provider.connector or name, "provider"), provider.settings),
                "connector": provider.connector or name,
                "api_key": provider.api_key or keys.get(name),
            }
        )
        for name, provider in root.providers.items()
    }
    update = {
        "providers": providers,
        "models": {id: _complete_model(id, model, root) for id, model in root.models.items()},
        "pools": {name: _complete_pool(name, pool) for name, pool in root.pools.items()},
        "storage": root.storage.model_copy(
            update=own_settings(registry.find(root.storage.connector, "storage"), root.storage.settings)
        ),
        "discovery": root.discovery.model_copy(
            update={"connector": _entries(root.discovery.connector, {}, "discovery", registry)}
        ),
        "secrets": _distribute(root.secrets, "store", "secret-store", registry),
        "observability": root.observability.model_copy(
            update={
                part: _distribute(getattr(root.observability, part), "connector", "observability", registry)
                for part in ObservabilityConfig.model_fields
            }
        ),
    }
    return root.model_copy(update=update)


def _complete_model(id: str, model: ModelConfig, root: RootConfig) -> ModelConfig:
    provider = model.provider or infer_provider(id, root.providers) or ""
    entry = root.providers.get(provider)
    vendor = (entry.connector if entry and entry.connector else provider).partition(".")[0]
    return model.model_copy(update={"provider": provider, "model": model.model or provider_id(id, provider, vendor)})


def provider_id(id: str, provider: str, vendor: str) -> str:
    """A model's id at its provider: the part after the vendor prefix, if there is one."""
    for prefix in (provider, vendor):
        for separator in "./:":
            if prefix and id.startswith(prefix + separator) and len(id) > len(prefix) + 1:
                return id[len(prefix) + 1 :]
    match = _VENDOR.match(id)
    return id[match.end() :] if match else id


def _complete_pool(name: str, pool: PoolConfig) -> PoolConfig:
    if pool.capability is None and not pool.models:
        return pool.model_copy(update={"capability": name})
    return pool


def _distribute(section: Any, key: str, kind: str, registry: ConnectorRegistry) -> Any:
    """Give each connector of a section its own keys among the section's open keys."""
    assert isinstance(section, OpenSection)
    return section.model_copy(update={key: _entries(getattr(section, key), section.settings, kind, registry)})


def _entries(
    entries: Iterable[ConnectorEntry], shared: dict[str, Any], kind: str, registry: ConnectorRegistry
) -> tuple[ConnectorEntry, ...]:
    return tuple(
        ConnectorEntry(
            connector=entry.connector,
            **own_settings(registry.find(entry.connector, kind), shared | entry.settings),
        )
        for entry in entries
    )
