"""The section `discovery`: model lists, health probes, local servers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from meshd.config.schema.base import Duration, Entries, Names, Positive, Section

ProbeMethod = Literal["auto", "models", "completion"]
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


class SyncConfig(Section):
    enabled: bool = Field(default=True, description="Read the providers' model lists.")
    interval: Duration = Field(default=3600.0, description="Time between two syncs.")
    auto_register: bool = Field(
        default=False, description="Register the models of every provider, as `catalogue.auto_discover` does for one."
    )
    providers: Names = Field(
        default=(), description="Only these providers.", json_schema_extra={"shown_default": "all"}
    )
    on_new_model: Literal["register", "notify", "ignore"] = Field(
        default="register",
        description="What happens to a new model of a provider whose models are discovered.",
    )
    on_deprecated_model: Literal["deactivate", "notify", "ignore"] = Field(
        default="deactivate", description="What happens to a model that is no longer listed."
    )


class HealthConfig(Section):
    enabled: bool = Field(default=True, description="Probe the providers.")
    interval: Duration = Field(default=60.0, description="Time between two probes of a provider.")
    timeout: Duration = Field(default=10.0, description="Longest a probe may take.")
    failure_threshold: Positive = Field(
        default=3, description="Failed probes in a row that make a provider unavailable."
    )
    providers: Names = Field(
        default=(), description="Only these providers.", json_schema_extra={"shown_default": "all"}
    )
    method: ProbeMethod = Field(
        default="auto",
        description="How to probe: `models` lists the models (free of charge), `completion` asks for one token; "
        "`auto` lists the models too, and if that is refused, judges by how requests end. "
        "`providers.NAME.health.method` sets it for one provider.",
    )


class LocalConfig(Section):
    enabled: bool = Field(
        default=False,
        description="Look for servers on this machine, and use those of root, system users and the daemon's own user. "
        "They join the pools whose capability they serve.",
        json_schema_extra={"shown_default": "`false`; `true` without a configuration file"},
    )
    servers: tuple[LocalServer, ...] = Field(default=LOCAL_SERVERS, description="Which ones to look for.")


class DiscoveryConfig(Section):
    connector: Entries = Field(
        default=(),
        description="Discovery connectors of other packages: a connector id, or a list; an entry may be a map with "
        "`connector` and its own keys. Each is asked for servers whenever this machine is scanned.",
        json_schema_extra={"shown_default": "none"},
    )
    sync: SyncConfig = Field(default=SyncConfig.unset(), description="Model lists.")
    health: HealthConfig = Field(default=HealthConfig.unset(), description="Probes.")
    local: LocalConfig = Field(
        default=LocalConfig.unset(), description="Servers on this machine, recognised by their answers."
    )
