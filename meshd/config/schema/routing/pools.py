"""The section `pools`: which models serve a capability, in what order, and when one is set aside."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from meshd.config.schema.base import (
    Codes,
    Count,
    Duration,
    Fraction,
    HedgeDelay,
    Money,
    Names,
    Positive,
    Section,
    Size,
)
from meshd.config.schema.money import BudgetConfig
from meshd.routing.table.specs import DEFAULT_STRATEGY


class DeactivationConfig(Section):
    retry_limit: Positive = Field(default=3, description="Consecutive failures that set a model aside.")
    error_rate_threshold: Fraction | None = Field(
        default=None, description="Failure rate over the window that sets a model aside."
    )
    window: Duration = Field(default=60.0, description="The window of the failure rate.")
    error_codes: Codes | None = Field(
        default=None,
        description="Statuses that count as failures.",
        json_schema_extra={"shown_default": "retryable codes, 401, 403"},
    )
    request_limit: Count | None = Field(default=None, description="Requests before it is set aside.")
    token_limit: Count | None = Field(default=None, description="Tokens before it is set aside.")
    budget_limit: Money | None = Field(default=None, description="USD before it is set aside.")
    quota_window: Literal["daily", "monthly"] | None = Field(default=None, description="Window of the limits above.")
    maintenance_window: str | None = Field(
        default=None, description="Cron expression with a duration, during which it is set aside."
    )


class RecoveryConfig(Section):
    cooldown: Duration = Field(
        default=60.0, description="First cooldown of a model set aside; doubles on each relapse."
    )
    max_cooldown: Duration = Field(default=900.0, description="Longest cooldown, unless `cooldown` itself is longer.")
    probe_on_start: bool = Field(default=False, description="Probe the pool's models at the start.")
    probe_interval: Duration | None = Field(
        default=None, description="How often models on cooldown are probed.", json_schema_extra={"shown_default": "off"}
    )
    on_quota_reset: bool = Field(default=True, description="Bring a model back when its quota resets.")
    quota_reset_schedule: Literal["monthly", "daily_utc"] | None = Field(
        default=None, description="When the quota resets.", json_schema_extra={"shown_default": "the provider's"}
    )


class RetryConfig(Section):
    max_attempts: Positive = Field(default=2, description="Attempts on the same model, before rotating.")
    backoff: Literal["fixed", "exponential_jitter", "retry_after"] = Field(
        default="exponential_jitter", description="How the delay between attempts grows."
    )
    initial_delay: Duration = Field(default=0.5, description="First delay.")
    max_delay: Duration = Field(default=10.0, description="Longest delay.")
    retryable_codes: Codes | None = Field(
        default=None,
        description="Statuses worth another attempt.",
        json_schema_extra={"shown_default": "the provider's"},
    )
    non_retryable_codes: Codes | None = Field(
        default=None,
        description="Statuses that will not change by asking again.",
        json_schema_extra={"shown_default": "the provider's"},
    )
    scope: Literal["same_model", "same_provider", "any"] = Field(
        default="any", description="Where the next attempt may go."
    )
    honor_retry_after: bool = Field(default=True, description="Wait as long as the provider asks.")
    deadline: Duration | None = Field(
        default=None,
        description="Longest time for all attempts together.",
        json_schema_extra={"shown_default": "the request's timeout"},
    )


class PoolRateLimitConfig(Section):
    threshold: Fraction = Field(default=0.9, description="Fraction of a limit at which the next model is asked.")
    min_delta: Duration | None = Field(default=None, description="Least time between two requests to one model.")
    max_rpm: Positive | None = Field(default=None, description="Most requests a minute to one model.")


class HedgeConfig(Section):
    after: HedgeDelay | None = Field(
        default=None,
        description="When to ask a second model as well, if the first has not begun to answer: a duration, or `p95`.",
        json_schema_extra={"shown_default": "off"},
    )


class StreamConfig(Section):
    first_token_timeout: Duration = Field(default=30.0, description="Longest wait for the first content.")
    idle_timeout: Duration = Field(default=30.0, description="Longest silence after it.")
    on_failure: Literal["continue", "terminate"] = Field(
        default="continue",
        description="After content was delivered: `continue` on another model, or `terminate` the stream.",
    )


class CacheConfig(Section):
    ttl: Duration = Field(default=3600.0, description="How long an answer is kept.")
    max_size: Size = Field(default=64 * 1024**2, description="Most bytes kept.")
    scope: Literal["app", "user", "shared"] = Field(default="app", description="Who shares an answer.")


class SessionConfig(Section):
    key: Literal["auto", "header", "user", "app"] = Field(
        default="auto",
        description="What makes two requests one session: a header, the body's user, the app, or what is named first.",
    )
    ttl: Duration | None = Field(
        default=None,
        description="A session that had to move stays at its new model until it has been idle for this long.",
        json_schema_extra={"shown_default": "it goes back when its model does"},
    )


class PoolConfig(Section):
    """One pool: its members, how one is chosen, and what happens after failures."""

    capability: str | None = Field(
        default=None,
        description="Node of the capability tree to target.",
        json_schema_extra={"shown_default": "the pool's name, unless `models` are listed"},
    )
    models: Names = Field(default=(), description="Explicit members; with `capability`, added to the matched ones.")
    providers: Names = Field(default=(), description="Only models of these providers.")
    excluded_providers: Names = Field(default=(), description="No models of these providers.")
    excluded_models: Names = Field(default=(), description="Not these models.")
    require: dict[str, Any] = Field(
        default={}, description="Features, constraints or delivery modes a member must have."
    )
    select: str | None = Field(
        default=None, description="An expression over a model's attributes that decides membership, order, or both."
    )
    strategy: str = Field(
        default=DEFAULT_STRATEGY, description="Rotation policy; the short form (`round-robin`) is accepted."
    )
    model_priority: Names = Field(default=(), description="Models in order of preference.")
    provider_priority: Names = Field(default=(), description="Providers in order of preference.")
    fallback_strategy: str | None = Field(
        default=None, description="Strategy for the models that are not in a priority list."
    )
    fallback_pools: Names = Field(default=(), description="Pools to try when no model of this one can answer.")
    balance_mode: Literal["absolute", "relative"] = Field(
        default="relative", description="How `load-balanced` shares: `absolute` evenly, `relative` by headroom."
    )
    deactivation: DeactivationConfig = Field(
        default=DeactivationConfig.unset(), description="When a model is set aside."
    )
    recovery: RecoveryConfig = Field(default=RecoveryConfig.unset(), description="When it comes back.")
    retry: RetryConfig = Field(default=RetryConfig.unset(), description="Attempts after a failure.")
    rate_limit: PoolRateLimitConfig = Field(
        default=PoolRateLimitConfig.unset(), description="Leaving a model before its limit."
    )
    hedge: HedgeConfig = Field(default=HedgeConfig.unset(), description="Second attempts in parallel.")
    stream: StreamConfig = Field(default=StreamConfig.unset(), description="Streams.")
    budget: BudgetConfig = Field(
        default=BudgetConfig.unset(), description="Spending limits of all its requests together."
    )
    unpriced_fields: Literal["refuse", "strip"] = Field(
        default="refuse",
        description="Under a budget, fields of a request that may raise its price by an unknown amount "
        "(`service_tier`, `web_search_options`, `models`, unknown ones): refuse the request, or leave them out.",
    )
    on_budget_exceeded: Literal["rotate", "error"] = Field(
        default="rotate", description="What happens when a model's budget is used up."
    )
    provider_deactivation: tuple[Literal["on_auth_failure", "on_api_outage"], ...] = Field(
        default=("on_auth_failure", "on_api_outage"), description="What sets a whole provider aside."
    )
    provider_recovery: Literal["on_probe_success", "on_manual"] = Field(
        default="on_probe_success", description="What brings a provider back."
    )
    prompt_caching: Literal["off", "auto"] = Field(
        default="off",
        description="`auto` marks prompts for the provider's cache, where a model is asked in Anthropic's format and "
        "the app set no marks.",
    )
    cache: CacheConfig | None = Field(
        default=None, description="Exact-match response cache.", json_schema_extra={"shown_default": "off"}
    )
    session: SessionConfig = Field(default=SessionConfig.unset(), description="What a session is.")
