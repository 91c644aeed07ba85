"""A pool's rules: for failures and recovery, pacing, the cache and sessions.

Must never: change after it was built, or do I/O.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class RetryPolicy(msgspec.Struct, frozen=True):
    max_attempts: int = 2  # on the same model
    backoff: Literal["fixed", "exponential_jitter", "retry_after"] = "exponential_jitter"
    initial_delay: float = 0.5  # s
    max_delay: float = 10.0  # s
    retryable_codes: frozenset[int] | None = None  # None: the provider's
    non_retryable_codes: frozenset[int] | None = None
    scope: Literal["same_model", "same_provider", "any"] = "any"
    honor_retry_after: bool = True
    deadline: float | None = None  # s, all attempts; None: the request's


class DeactivationPolicy(msgspec.Struct, frozen=True):
    retry_limit: int = 3  # consecutive failures
    error_codes: frozenset[int] | None = None  # those that count; None: retryable codes, 401, 403
    error_rate_threshold: float | None = None  # of the requests within `window`
    window: float = 60.0  # s
    maintenance: str | None = None  # cron expression and duration, "0 3 * * sun 2h"


class RecoveryPolicy(msgspec.Struct, frozen=True):
    cooldown: float = 60.0  # s
    max_cooldown: float = 900.0  # s
    probe_on_start: bool = False
    probe_interval: float | None = None  # s
    on_quota_reset: bool = True
    quota_reset_schedule: Literal["monthly", "daily_utc"] | None = None  # None: the provider's


class StreamPolicy(msgspec.Struct, frozen=True):
    first_token_timeout: float = 30.0  # s
    idle_timeout: float = 30.0  # s
    on_failure: Literal["continue", "terminate"] = "continue"


class PacingPolicy(msgspec.Struct, frozen=True):
    """`rate_limit` of a pool. threshold: the fraction of a limit at which `rate-limit-aware` moves on.
    min_delta (s), max_rpm: of the requests to one model of the pool."""

    threshold: float = 0.9
    min_delta: float | None = None
    max_rpm: int | None = None


class CachePolicy(msgspec.Struct, frozen=True):
    ttl: float = 3600.0  # s
    max_size: int = 64 * 1024**2  # bytes
    scope: Literal["app", "user", "shared"] = "app"


class SessionPolicy(msgspec.Struct, frozen=True):
    """What makes two requests one session. ttl: seconds without a request after which a session that had to move
    returns to its own model; None: it returns at once."""

    key: Literal["auto", "header", "user", "app"] = "auto"
    ttl: float | None = None
