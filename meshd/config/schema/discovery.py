"""The section `discovery`: model lists, health probes, local servers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from meshd.config.schema.base import Duration, Entries, Names, Positive, Section
from meshd.discovery.settings import HealthSettings, OnDeprecatedModel, OnNewModel, ProbeMethod, SyncSettings

LocalServer = Literal["ollama", "lmstudio", "vllm", "localai", "llama-server", "sglang", "lemonade"]
LOCAL_SERVERS: tuple[LocalServer, ...] = (
    "ollama",
    "lmstudio",
    "vllm",
    "localai",
    "llama-server",
    "sglang",
    "lemonade",
)

# What the sections become, from which their keys have their defaults.
SYNC = SyncSettings()
HEALTH = HealthSettings()


class SyncConfig(Section):
    enabled: bool = Field(default=SYNC.enabled, description="Read the providers' model lists.")
    interval: Duration = Field(default=SYNC.interval, description="Time between two syncs.")
    auto_register: bool = Field(
        default=SYNC.auto_register,
        description="Register the models of every provider, as `catalogue.auto_discover` does for one.",
    )
    providers: Names = Field(
        default=SYNC.providers, description="Only these providers.", json_schema_extra={"shown_default": "all"}
    )
    on_new_model: OnNewModel = Field(
        default=SYNC.on_new_model,
        description="What happens to a new model of a provider whose models are discovered.",
    )
    on_deprecated_model: OnDeprecatedModel = Field(
        default=SYNC.on_deprecated_model, description="What happens to a model that is no longer listed."
    )


class HealthConfig(Section):
    enabled: bool = Field(default=HEALTH.enabled, description="Probe the providers.")
    interval: Duration = Field(default=HEALTH.interval, description="Time between two probes of a provider.")
    timeout: Duration = Field(default=HEALTH.timeout, description="Longest time that a probe may take.")
    failure_threshold: Positive = Field(
        default=HEALTH.failure_threshold, description="Failed probes in a row that make a provider unavailable."
    )
    providers: Names = Field(
        default=HEALTH.providers, description="Only these providers.", json_schema_extra={"shown_default": "all"}
    )
    method: ProbeMethod = Field(
        default=HEALTH.method,
        description="How to probe: `models` lists the models (free of charge), `completion` asks for one token; `auto` "
        "lists the models too, or, if that is refused, judges the provider by the outcome of requests. "
        "`providers.NAME.health.method` sets it for one provider.",
    )


class LocalConfig(Section):
    enabled: bool = Field(
        default=False,
        description="Look for servers on this machine, and use those that root, a system user or the daemon's own user "
        "runs. They join the pools whose capability they serve.",
        json_schema_extra={"shown_default": "`false`; `true` without a configuration file"},
    )
    servers: tuple[LocalServer, ...] = Field(default=LOCAL_SERVERS, description="Which servers to look for.")


class DiscoveryConfig(Section):
    connector: Entries = Field(
        default=(),
        description="Discovery connectors of other packages: a connector id, or a list; an entry may be a map with "
        "`connector` and its own keys. Each is asked for servers whenever the daemon scans this machine.",
        json_schema_extra={"shown_default": "none"},
    )
    sync: SyncConfig = Field(default=SyncConfig.unset(), description="Model lists.")
    health: HealthConfig = Field(default=HealthConfig.unset(), description="Probes.")
    local: LocalConfig = Field(
        default=LocalConfig.unset(), description="Servers on this machine, recognised by their answers."
    )
