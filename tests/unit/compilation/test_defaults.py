"""Keys of the configuration and fields of the records that they become: the same defaults, and every value arrives.

The tests are made of the fields, so they hold for new ones too.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest

from meshd.config.schema import Section
from meshd.config.schema.access import AppConfig
from meshd.config.schema.connectors.stores import StorageConfig
from meshd.config.schema.discovery import HealthConfig, SyncConfig
from meshd.config.schema.money import BudgetConfig
from meshd.config.schema.routing import models, pools, providers
from meshd.core.by_name import record_of
from meshd.discovery.settings import HealthSettings, SyncSettings
from meshd.routing.table import policies
from meshd.routing.table.specs import ANY_APP, Allowance, KeySpec, ModelSpec, PoolSpec, ProviderSpec
from meshd.sdk.provider import ProviderCall
from meshd.sdk.settings import ManagedServer, ProviderSettings
from meshd.state.settings import StateSettings
from tests.support.config.compiling import chat, compiled, pool

# A pool's policies: the key of a pool, its section, the policy, the field of the table's pool.
POLICIES: list[tuple[str, type[Section], type[msgspec.Struct], str]] = [
    ("retry", pools.RetryConfig, policies.RetryPolicy, "retry"),
    ("deactivation", pools.DeactivationConfig, policies.DeactivationPolicy, "deactivation"),
    ("recovery", pools.RecoveryConfig, policies.RecoveryPolicy, "recovery"),
    ("stream", pools.StreamConfig, policies.StreamPolicy, "stream"),
    ("rate_limit", pools.PoolRateLimitConfig, policies.PacingPolicy, "pacing"),
    ("cache", pools.CacheConfig, policies.CachePolicy, "cache"),
    ("session", pools.SessionConfig, policies.SessionPolicy, "session"),
]
SYNC_AND_HEALTH: list[tuple[type[Section], type[msgspec.Struct]]] = [
    (SyncConfig, SyncSettings),
    (HealthConfig, HealthSettings),
]
PAIRS: list[tuple[type[Section], Any]] = [
    *((section, policy()) for _, section, policy, _ in POLICIES),
    *((section, settings()) for section, settings in SYNC_AND_HEALTH),
    (pools.PoolConfig, PoolSpec("", "", ())),
    (providers.ProviderConfig, ProviderSettings("", "")),
    (providers.ProviderConfig, ProviderSpec("", "")),
    (providers.ProviderConfig, ProviderCall(None, "", {})),  # type: ignore[arg-type]  # not called
    (providers.ConnectionPoolConfig, ProviderSettings("", "")),
    (providers.ErrorCodesConfig, ProviderSpec("", "")),
    (providers.ManagedConfig, ManagedServer("")),
    (providers.WeightedKey, KeySpec("")),
    (pools.StreamConfig, ProviderCall(None, "", {})),  # type: ignore[arg-type]
    (models.ModelConfig, ModelSpec("", "", "", ())),
    (models.DeliveryConfig, ModelSpec("", "", "", ())),
    (AppConfig, ANY_APP),
    (BudgetConfig, Allowance("", "", "cost", "day", 0)),
]
APART = {
    *("connector", "capability", "provider", "capabilities", "command"),  # a record has to be given it
    *("ready", "streaming"),  # if a section leaves it out, the catalogue or the connector decides
    "api_keys",  # a list in a section, with weights
}
OTHER = {
    "maintenance_window": "0 3 * * sun 2h",
    "strategy": "modelmesh.round-robin.v1",
    "fallback_strategy": "modelmesh.round-robin.v1",
    "fallback_pools": ("spare",),
    "model_priority": ("house.b",),
    "provider_priority": ("house",),
}
"""Values of keys that cannot have just any: other parts of the configuration have to fit them."""


def fields(record: Any) -> tuple[str, ...]:
    kind = record if isinstance(record, type) else type(record)
    if issubclass(kind, msgspec.Struct):
        return kind.__struct_fields__
    return tuple(each.name for each in dataclasses.fields(kind))


def policy_keys() -> list[tuple[str, str, str]]:
    return [(key, name, field) for key, _, policy, field in POLICIES for name in fields(policy)]


def changed(record: type, name: str) -> Any:
    """A value of that field other than its default."""
    if name in OTHER:
        return OTHER[name]
    if record is PoolSpec:  # compiled, it does not keep its annotations
        return _other_than(getattr(record("", "", ()), name), pools.PoolConfig.model_fields[name].annotation)
    return _other_than(getattr(record(), name), get_type_hints(record)[name])


def _other_than(default: Any, form: Any) -> Any:
    if get_origin(form) is Literal:
        return next(value for value in get_args(form) if value != default)
    if form is bool:
        return not default
    if form is int:
        return (default or 0) + 7
    if form is float:
        return (default or 1.0) / 2
    if form == frozenset[int]:
        return frozenset({418, 507})
    if form == tuple[str, ...]:
        return ("house",)
    return _other_than(default, next(each for each in get_args(form) if each is not type(None)))


def written(value: Any) -> Any:
    """As a configuration has it."""
    return list(value) if isinstance(value, frozenset | tuple) else value


@pytest.mark.parametrize(
    ("section", "record"), PAIRS, ids=[f"{section.__name__}-{type(record).__name__}" for section, record in PAIRS]
)
def test_a_key_and_its_field_have_the_same_default(section: type[Section], record: Any) -> None:
    both = (section.model_fields.keys() & set(fields(record))) - APART
    assert both
    for name in both:
        default, its_own = section.model_fields[name].get_default(call_default_factory=True), getattr(record, name)
        if isinstance(default, Section):
            continue  # a section and a policy: a pair of their own
        assert (tuple(sorted(its_own)) if isinstance(its_own, frozenset) else its_own) == default, name


@pytest.mark.parametrize(("key", "section", "policy", "field"), POLICIES)
def test_a_policy_has_only_fields_that_are_keys_and_an_empty_section_means_its_defaults(
    key: str, section: type[Section], policy: type[msgspec.Struct], field: str
) -> None:
    assert set(policy.__struct_fields__) <= section.model_fields.keys()
    assert record_of(policy, section.unset()) == policy()
    assert getattr(pool({"capability": "chat-completion", key: {}}), field) == policy()


@pytest.mark.parametrize(("key", "name", "field"), policy_keys())
def test_a_key_of_a_policy_reaches_it_and_changes_nothing_else(key: str, name: str, field: str) -> None:
    policy = next(policy for each, _, policy, _ in POLICIES if each == key)
    value = changed(policy, name)
    made = getattr(pool({"capability": "chat-completion", key: {name: written(value)}}), field)
    assert made == msgspec.structs.replace(policy(), **{name: value})
    assert type(getattr(made, name)) is type(value)


PLAIN = [
    name
    for name in fields(PoolSpec)
    if name in pools.PoolConfig.model_fields and name not in {"capability", "select", *(key for key, *_ in POLICIES)}
]


@pytest.mark.parametrize("name", PLAIN)
def test_a_key_of_a_pool_reaches_the_tables_pool(name: str) -> None:
    value = changed(PoolSpec, name)
    section = {"capability": "chat-completion", name: written(value)}
    made = compiled(
        {"models": chat("house.a", "house.b"), "pools": {"chat": section, "spare": {"models": ["house.a"]}}}
    )
    assert getattr(made.table.pools["chat"], name) == value


@pytest.mark.parametrize(("section", "settings"), SYNC_AND_HEALTH)
def test_a_key_of_discovery_reaches_its_settings(section: type[Section], settings: Any) -> None:
    assert settings.of(section.unset()) == settings()
    for name in section.model_fields:
        value = changed(settings, name)
        made = settings.of(section.model_validate({name: written(value)}))
        assert made == msgspec.structs.replace(settings(), **{name: value})


def test_settings_of_the_state_come_from_the_schema_alone() -> None:
    assert all(field.required for field in msgspec.structs.fields(StateSettings))
    section = {
        "connector": "modelmesh.local-file.v1",
        "path": "/srv/state",
        "sync_policy": "immediate",
        "sync_interval": 7.0,
        "format": "msgpack",
        "compression": "zstd",
        "encryption": {"key": "k", "key_file": "f"},
        "locking": {"enabled": False, "timeout": 3.0, "retry_interval": 2.0},
    }
    made = StateSettings.of(StorageConfig.model_validate(section), "Europe/Berlin", ["PASSWORD"], ["KEY"])
    assert msgspec.structs.asdict(made) == {
        "connector": "modelmesh.local-file.v1",
        "settings": {"path": "/srv/state"},
        "sync_policy": "immediate",
        "sync_interval": 7.0,
        "timezone": "Europe/Berlin",
        "format": "msgpack",
        "compression": "zstd",
        "key": "k",
        "key_file": "f",
        "lease": False,
        "lease_timeout": 3.0,
        "lease_retry": 2.0,
        "awaits": ("PASSWORD",),
        "key_awaits": ("KEY",),
    }
