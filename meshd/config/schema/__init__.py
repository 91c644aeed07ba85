"""Every key of the configuration file, with its type, default and description."""

from meshd.config.schema.access import AppConfig, ConnectorsConfig
from meshd.config.schema.base import ConnectorEntry, OpenSection, Section
from meshd.config.schema.connectors.stores import (
    BatchesConfig,
    KeptFilesConfig,
    ResponsesConfig,
    SecretsConfig,
    StorageConfig,
)
from meshd.config.schema.discovery import LOCAL_SERVERS, DiscoveryConfig
from meshd.config.schema.money import BudgetConfig, PricingConfig
from meshd.config.schema.observability import LoggingSinks, ObservabilityConfig, RoutingSinks, StatisticsSinks
from meshd.config.schema.proxy import ProxyConfig
from meshd.config.schema.root import DaemonConfig, RootConfig
from meshd.config.schema.routing.models import ConstraintsConfig, DeliveryConfig, FeaturesConfig, ModelConfig
from meshd.config.schema.routing.pools import (
    DeactivationConfig,
    PoolConfig,
    RecoveryConfig,
    RetryConfig,
    StreamConfig,
)
from meshd.config.schema.routing.providers import ProviderConfig, ProviderRateLimitConfig

__all__ = [
    "LOCAL_SERVERS",
    "AppConfig",
    "BatchesConfig",
    "BudgetConfig",
    "ConnectorEntry",
    "ConnectorsConfig",
    "ConstraintsConfig",
    "DaemonConfig",
    "DeactivationConfig",
    "DeliveryConfig",
    "DiscoveryConfig",
    "FeaturesConfig",
    "KeptFilesConfig",
    "LoggingSinks",
    "ModelConfig",
    "ObservabilityConfig",
    "OpenSection",
    "PoolConfig",
    "PricingConfig",
    "ProviderConfig",
    "ProviderRateLimitConfig",
    "ProxyConfig",
    "RecoveryConfig",
    "ResponsesConfig",
    "RetryConfig",
    "RootConfig",
    "RoutingSinks",
    "SecretsConfig",
    "Section",
    "StatisticsSinks",
    "StorageConfig",
    "StreamConfig",
]
