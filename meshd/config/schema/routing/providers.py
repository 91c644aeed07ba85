"""The section `providers`: which services are used, with which keys and timeouts."""

from __future__ import annotations

from pydantic import Field

from meshd.config.schema.base import (
    Codes,
    Count,
    Duration,
    HeaderName,
    HeaderValue,
    Key,
    Names,
    OpenSection,
    Positive,
    Section,
    Size,
    Url,
    Weight,
)
from meshd.config.schema.discovery import SYNC
from meshd.config.schema.money import BudgetConfig, PricingConfig
from meshd.config.schema.routing.auth import AuthConfig
from meshd.discovery.settings import ProbeMethod
from meshd.routing.table.specs import KeySpec, ProviderSpec, QuotaReset
from meshd.sdk.settings import ManagedServer, ProviderSettings

# What the sections become, from which their keys have their defaults.
SPEC = ProviderSpec("", "")
SETTINGS = ProviderSettings("", "")
MANAGED = ManagedServer("")
KEY = KeySpec("")


class WeightedKey(Section):
    key: Key = Field(description="The key, preferably as `${secrets:NAME}`.", repr=False)
    weight: Weight = Field(default=KEY.weight, description="Its share of the requests.")


class ConnectionPoolConfig(Section):
    max_connections: Positive = Field(
        default=SETTINGS.max_connections, description="Connections open at once to this provider."
    )
    keepalive: Duration = Field(default=SETTINGS.keepalive, description="How long an idle connection is kept.")
    http2: bool = Field(
        default=SETTINGS.http2,
        description="Offer HTTP/2 to a server with TLS. If the server chooses it, requests share connections. Needs "
        "the extra `http2`.",
    )


class QuotaConfig(Section):
    query_current: bool | None = Field(default=None, description="The provider can be asked what was used.")
    query_remaining: bool | None = Field(default=None, description="The provider can be asked what is left.")
    reset_schedule: QuotaReset | None = Field(default=SPEC.quota_reset, description="When the quota resets.")
    requests: Count | None = Field(default=None, description="Free-tier requests per period.")
    tokens: Count | None = Field(default=None, description="Free-tier tokens per period.")


class ProviderRateLimitConfig(Section):
    rpm: Positive | None = Field(default=None, description="Requests per minute; response headers override it.")
    tpm: Positive | None = Field(default=None, description="Tokens per minute; response headers override it.")
    concurrency: Positive | None = Field(
        default=None, description="Requests at once; response headers do not override it."
    )


class ProviderDiscoveryConfig(Section):
    enumerate_models: bool | None = Field(
        default=None,
        description="A sync asks the provider for its list of models.",
        json_schema_extra={"shown_default": "the connector's"},
    )
    model_details: bool | None = Field(default=None, description="A sync asks for the details of each model.")
    capability_query: bool | None = Field(default=None, description="A sync asks what each model can do.")


class ProviderHealthConfig(Section):
    method: ProbeMethod | None = Field(
        default=None,
        description="How it is probed: `auto`, `models` or `completion`.",
        json_schema_extra={"shown_default": "`discovery.health.method`"},
    )


class ProviderCatalogueConfig(Section):
    auto_discover: bool = Field(
        default=False,
        description="Register every model that the provider lists, even if `models` has some of them. "
        "A provider without an entry in `models` always offers all that it lists.",
    )
    refresh_interval: Duration = Field(
        default=SYNC.interval, description="How often the provider's list is read again."
    )


class ErrorCodesConfig(Section):
    retryable_codes: Codes = Field(
        default=tuple(sorted(SPEC.retryable_codes)), description="Statuses worth another attempt."
    )
    non_retryable_codes: Codes = Field(
        default=tuple(sorted(SPEC.non_retryable_codes)), description="Statuses for which another attempt is useless."
    )


class ProviderBatchConfig(Section):
    supported: bool | None = Field(
        default=None,
        description="Use the provider's own batch API, if it has one, for models with `delivery.batch`.",
        json_schema_extra={"shown_default": "the connector's"},
    )
    max_items: Positive | None = Field(
        default=None, description="Most requests of a batch that is passed on; the mesh answers a longer one itself."
    )


class FilesConfig(Section):
    upload: bool = Field(
        default=True, description="Upload files of requests to it. With `false`, no batch is passed on."
    )
    max_size: Size | None = Field(
        default=None, description="Largest file of a batch that is passed on; the mesh answers a larger one itself."
    )


class FineTuningConfig(Section):
    supported: bool = Field(
        default=SPEC.fine_tuning,
        description="Pass requests to `/v1/fine_tuning/` on to this provider. Only one provider can have it. As for "
        "`passthrough`, only administrators, and apps with `passthrough`, may send them.",
    )


class ManagedConfig(Section):
    command: str | None = Field(
        default=None, description="Program that serves the provider at its `base_url`. It is started when needed."
    )
    args: Names = Field(default=(), description="Its arguments.")
    env: dict[str, str] = Field(default={}, description="Variables to add to its environment.", repr=False)
    cwd: str | None = Field(
        default=None, description="Its working directory.", json_schema_extra={"shown_default": "the daemon's"}
    )
    ready: str | None = Field(
        default=None,
        description="URL path that answers when the program is ready.",
        json_schema_extra={"shown_default": "that of its list of models"},
    )
    start_timeout: Duration = Field(default=MANAGED.start_timeout, description="How long it may take to become ready.")
    idle_timeout: Duration | None = Field(
        default=MANAGED.idle_timeout,
        description="Stop it when it has been unused for this long.",
        json_schema_extra={"shown_default": "it is not stopped"},
    )
    restart: bool = Field(default=MANAGED.restart, description="If it has exited, start it again when it is needed.")


class ProviderConfig(OpenSection):
    """One provider. Keys beyond these belong to its connector (`settings`)."""

    connector: str = Field(
        default="",
        description="Provider connector id, or its short name.",
        json_schema_extra={"shown_default": "the entry's name"},
    )
    enabled: bool = Field(default=True, description="Whether it is used at all.")
    api_key: HeaderValue | None = Field(
        default=None,
        description="The key, preferably as `${secrets:NAME}`.",
        repr=False,
        json_schema_extra={"shown_default": "the connector's variable, as a secret"},
    )
    api_keys: tuple[Key | WeightedKey, ...] = Field(
        default=(),
        description="Several keys, used in weighted rotation. If a key gets 401 or 429, only that key is set aside.",
        repr=False,
    )
    base_url: Url | None = Field(
        default=None, description="Address of its API.", json_schema_extra={"shown_default": "the connector's"}
    )
    auth: AuthConfig = Field(default=AuthConfig.unset(), description="How requests are authorised.")
    timeout: Duration = Field(default=SETTINGS.timeout, description="Longest time that a whole call may take.")
    connect_timeout: Duration = Field(
        default=SETTINGS.connect_timeout, description="Longest time that connecting may take."
    )
    max_retries: Count = Field(
        default=SETTINGS.max_retries, description="Retries inside the connector, before the router sees a failure."
    )
    connection_pool: ConnectionPoolConfig = Field(default=ConnectionPoolConfig.unset(), description="Its connections.")
    headers: dict[HeaderName, HeaderValue] = Field(default={}, description="Extra request headers.", repr=False)
    passthrough: bool = Field(
        default=SPEC.passthrough,
        description="Administrators, and apps with `passthrough`, may use its native API at `/providers/NAME/` over "
        "HTTP.",
    )
    quota: QuotaConfig = Field(default=QuotaConfig.unset(), description="Free-tier allowance.")
    rate_limit: ProviderRateLimitConfig = Field(default=ProviderRateLimitConfig.unset(), description="Known limits.")
    budget: BudgetConfig = Field(default=BudgetConfig.unset(), description="Spending limits.")
    discovery: ProviderDiscoveryConfig = Field(
        default=ProviderDiscoveryConfig.unset(), description="What a sync asks for."
    )
    health: ProviderHealthConfig = Field(default=ProviderHealthConfig.unset(), description="How it is probed.")
    catalogue: ProviderCatalogueConfig = Field(default=ProviderCatalogueConfig.unset(), description="Its model list.")
    error: ErrorCodesConfig = Field(default=ErrorCodesConfig.unset(), description="How its HTTP statuses are treated.")
    pricing: PricingConfig = Field(default=PricingConfig.unset(), description="Prices of all its models.")
    batch: ProviderBatchConfig = Field(default=ProviderBatchConfig.unset(), description="Batches.")
    files: FilesConfig = Field(default=FilesConfig.unset(), description="Files.")
    fine_tuning: FineTuningConfig = Field(default=FineTuningConfig.unset(), description="Fine-tuning.")
    managed: ManagedConfig | None = Field(default=None, description="The daemon starts and stops the server itself.")
