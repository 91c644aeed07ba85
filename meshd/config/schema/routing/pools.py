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
from meshd.routing.table.policies import (
    Backoff,
    CachePolicy,
    CacheScope,
    DeactivationPolicy,
    OnStreamFailure,
    PacingPolicy,
    QuotaResetSchedule,
    RecoveryPolicy,
    RetryPolicy,
    RetryScope,
    SessionKey,
    SessionPolicy,
    StreamPolicy,
)
from meshd.routing.table.specs import BalanceMode, OnBudgetExceeded, PoolSpec, UnpricedFields

# What the sections become. Their keys have the defaults of these, which no section writes down again.
POOL = PoolSpec("", "", ())
DEACTIVATION = DeactivationPolicy()
RECOVERY = RecoveryPolicy()
RETRY = RetryPolicy()
PACING = PacingPolicy()
STREAM = StreamPolicy()
CACHE = CachePolicy()
SESSION = SessionPolicy()


class DeactivationConfig(Section):
    retry_limit: Positive = Field(
        default=DEACTIVATION.retry_limit, description="Consecutive failures that set a model aside."
    )
    error_rate_threshold: Fraction | None = Field(
        default=DEACTIVATION.error_rate_threshold, description="Failure rate over the window that sets a model aside."
    )
    window: Duration = Field(default=DEACTIVATION.window, description="The window of the failure rate.")
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
        default=DEACTIVATION.maintenance_window,
        description="Cron expression with a duration, during which it is set aside.",
    )


class RecoveryConfig(Section):
    cooldown: Duration = Field(
        default=RECOVERY.cooldown,
        description="First cooldown of a model that is set aside; it doubles with each relapse.",
    )
    max_cooldown: Duration = Field(
        default=RECOVERY.max_cooldown, description="Longest cooldown, unless `cooldown` itself is longer."
    )
    probe_on_start: bool = Field(
        default=RECOVERY.probe_on_start, description="Probe the pool's models when the daemon starts."
    )
    probe_interval: Duration | None = Field(
        default=RECOVERY.probe_interval,
        description="How often models on cooldown are probed.",
        json_schema_extra={"shown_default": "off"},
    )
    on_quota_reset: bool = Field(
        default=RECOVERY.on_quota_reset, description="Bring a model back when its quota resets."
    )
    quota_reset_schedule: QuotaResetSchedule | None = Field(
        default=RECOVERY.quota_reset_schedule,
        description="When the quota resets.",
        json_schema_extra={"shown_default": "the provider's"},
    )


class RetryConfig(Section):
    max_attempts: Positive = Field(
        default=RETRY.max_attempts, description="Attempts on the same model, before rotating."
    )
    backoff: Backoff = Field(default=RETRY.backoff, description="How the delay between attempts grows.")
    initial_delay: Duration = Field(default=RETRY.initial_delay, description="First delay.")
    max_delay: Duration = Field(default=RETRY.max_delay, description="Longest delay.")
    retryable_codes: Codes | None = Field(
        default=None,
        description="Statuses worth another attempt.",
        json_schema_extra={"shown_default": "the provider's"},
    )
    non_retryable_codes: Codes | None = Field(
        default=None,
        description="Statuses for which another attempt is useless.",
        json_schema_extra={"shown_default": "the provider's"},
    )
    scope: RetryScope = Field(default=RETRY.scope, description="Where the next attempt may go.")
    honor_retry_after: bool = Field(default=RETRY.honor_retry_after, description="Wait as long as the provider asks.")
    deadline: Duration | None = Field(
        default=RETRY.deadline,
        description="Longest time for all attempts together.",
        json_schema_extra={"shown_default": "the request's timeout"},
    )


class PoolRateLimitConfig(Section):
    threshold: Fraction = Field(
        default=PACING.threshold, description="Fraction of a limit at which the next model is asked."
    )
    min_delta: Duration | None = Field(
        default=PACING.min_delta, description="Shortest time between two requests to one model."
    )
    max_rpm: Positive | None = Field(default=PACING.max_rpm, description="Most requests per minute to one model.")


class HedgeConfig(Section):
    after: HedgeDelay | None = Field(
        default=POOL.hedge_after,
        description="When to ask a second model as well, if the first has not begun to answer: a duration, or `p95`.",
        json_schema_extra={"shown_default": "off"},
    )


class StreamConfig(Section):
    first_token_timeout: Duration = Field(
        default=STREAM.first_token_timeout, description="Longest wait for the first content."
    )
    idle_timeout: Duration = Field(default=STREAM.idle_timeout, description="Longest silence after it.")
    on_failure: OnStreamFailure = Field(
        default=STREAM.on_failure,
        description="After content was delivered: `continue` on another model, or `terminate` the stream.",
    )


class CacheConfig(Section):
    ttl: Duration = Field(default=CACHE.ttl, description="How long an answer is kept.")
    max_size: Size = Field(default=CACHE.max_size, description="Most bytes kept.")
    scope: CacheScope = Field(default=CACHE.scope, description="Who shares an answer.")


class SessionConfig(Section):
    key: SessionKey = Field(
        default=SESSION.key,
        description="What identifies a session: a header, the body's user, the app, or (`auto`) the first of several "
        "that a request has.",
    )
    ttl: Duration | None = Field(
        default=SESSION.ttl,
        description="A session that had to move stays at its new model until it has been idle for this long.",
        json_schema_extra={"shown_default": "it returns as soon as its former model is back"},
    )


class PoolConfig(Section):
    """One pool: its members, how a request's model is chosen, and what happens after failures."""

    capability: str | None = Field(
        default=None,
        description="Node of the capability tree that the pool serves.",
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
        default=POOL.strategy, description="Rotation policy; the short form (`round-robin`) is accepted."
    )
    model_priority: Names = Field(default=POOL.model_priority, description="Models in order of preference.")
    provider_priority: Names = Field(default=POOL.provider_priority, description="Providers in order of preference.")
    fallback_strategy: str | None = Field(
        default=POOL.fallback_strategy, description="Strategy for the models that are not in a priority list."
    )
    fallback_pools: Names = Field(
        default=POOL.fallback_pools, description="Pools to try when no model of this one can answer."
    )
    balance_mode: BalanceMode = Field(
        default=POOL.balance_mode, description="How `load-balanced` shares: `absolute` evenly, `relative` by headroom."
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
    unpriced_fields: UnpricedFields = Field(
        default=POOL.unpriced_fields,
        description="Under a budget, fields of a request that may raise its price by an unknown amount "
        "(`service_tier`, `web_search_options`, `models`, unknown ones): refuse the request, or leave them out.",
    )
    on_budget_exceeded: OnBudgetExceeded = Field(
        default=POOL.on_budget_exceeded, description="What happens when a model's budget is used up."
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
