"""The whole file: the top-level sections."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from meshd.config.schema.access import AppConfig, ConnectorsConfig, ProxyConfig
from meshd.config.schema.base import NotBuiltYet, Section
from meshd.config.schema.daemon import DaemonConfig
from meshd.config.schema.discovery import DiscoveryConfig
from meshd.config.schema.models import ModelConfig
from meshd.config.schema.observability import ObservabilityConfig
from meshd.config.schema.pools import PoolConfig
from meshd.config.schema.providers import ProviderConfig
from meshd.config.schema.secrets import SecretsConfig
from meshd.config.schema.storage import StorageConfig


class RootConfig(Section):
    secrets: SecretsConfig = Field(default=SecretsConfig(), description="Where keys come from.")
    providers: dict[str, ProviderConfig] = Field(default={}, description="Services that run models, by name.")
    models: dict[str, ModelConfig] = Field(default={}, description="Models, by id.")
    pools: dict[str, PoolConfig] = Field(default={}, description="Which models serve a capability, by name.")
    storage: StorageConfig = Field(default=StorageConfig(), description="Where state is kept.")
    observability: ObservabilityConfig = Field(
        default=ObservabilityConfig(), description="Events, logs and statistics."
    )
    discovery: DiscoveryConfig = Field(default=DiscoveryConfig(), description="Model lists, probes, local servers.")
    connectors: ConnectorsConfig = Field(default=ConnectorsConfig(), description="Connector packages.")
    proxy: Annotated[ProxyConfig, NotBuiltYet()] = Field(default=ProxyConfig(), description="The HTTP listener.")
    capabilities: dict[str, Any] = Field(
        default={}, description="Nodes added to the capability tree: a map of parents to lists or maps of children."
    )
    apps: dict[str, AppConfig] = Field(default={}, description="What each app may do, by name.")
    daemon: DaemonConfig = Field(default=DaemonConfig(), description="The socket and the process.")
