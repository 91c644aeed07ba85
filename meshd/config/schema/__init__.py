"""The schema of the configuration file, one module per section.

Owns: every key, its type, default and description, and which keys are not built yet.
Must never: read a file, an environment variable or a connector.
"""

from meshd.config.schema.access import AppConfig, ConnectorsConfig, ProxyConfig
from meshd.config.schema.base import NotBuiltYet, OpenSection, Section
from meshd.config.schema.budget import BudgetConfig
from meshd.config.schema.daemon import DaemonConfig
from meshd.config.schema.discovery import LOCAL_SERVERS, DiscoveryConfig
from meshd.config.schema.entries import ConnectorEntry
from meshd.config.schema.models import ConstraintsConfig, DeliveryConfig, FeaturesConfig, ModelConfig
from meshd.config.schema.observability import LoggingSinks, ObservabilityConfig, RoutingSinks, StatisticsSinks
from meshd.config.schema.pools import (
    DeactivationConfig,
    PoolConfig,
    RecoveryConfig,
    RetryConfig,
    StreamConfig,
)
from meshd.config.schema.pricing import PricingConfig
from meshd.config.schema.providers import ProviderConfig, ProviderRateLimitConfig
from meshd.config.schema.root import RootConfig
from meshd.config.schema.secrets import SecretsConfig
from meshd.config.schema.storage import StorageConfig

__all__ = [
    "LOCAL_SERVERS",
    "AppConfig",
    "BudgetConfig",
    "ConnectorEntry",
    "ConnectorsConfig",
    "ConstraintsConfig",
    "DaemonConfig",
    "DeactivationConfig",
    "DeliveryConfig",
    "DiscoveryConfig",
    "FeaturesConfig",
    "LoggingSinks",
    "ModelConfig",
    "NotBuiltYet",
    "ObservabilityConfig",
    "OpenSection",
    "PoolConfig",
    "PricingConfig",
    "ProviderConfig",
    "ProviderRateLimitConfig",
    "ProxyConfig",
    "RecoveryConfig",
    "RetryConfig",
    "RootConfig",
    "RoutingSinks",
    "SecretsConfig",
    "Section",
    "StatisticsSinks",
    "StorageConfig",
    "StreamConfig",
]
