"""A pool's rules: for failures and recovery, pacing, the cache and sessions.

Owns: their defaults, which the schema takes from here. Each field has the name of its key: they are compiled by name.
Must never: change after it was built, or do I/O.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from meshd.sdk.settings import FIRST_TOKEN_TIMEOUT, IDLE_TIMEOUT

Backoff = Literal["fixed", "exponential_jitter", "retry_after"]
RetryScope = Literal["same_model", "same_provider", "any"]
QuotaResetSchedule = Literal["monthly", "daily_utc"]
OnStreamFailure = Literal["continue", "terminate"]
CacheScope = Literal["app", "user", "shared"]
SessionKey = Literal["auto", "header", "user", "app"]


class RetryPolicy(msgspec.Struct, frozen=True):
    max_attempts: int = 2  # on the same model
    backoff: Backoff = "exponential_jitter"
    initial_delay: float = 0.5  # s
    max_delay: float = 10.0  # s
    retryable_codes: frozenset[int] | None = None  # None: the provider's
    non_retryable_codes: frozenset[int] | None = None
    scope: RetryScope = "any"
    honor_retry_after: bool = True
    deadline: float | None = None  # s, all attempts; None: the request's


class DeactivationPolicy(msgspec.Struct, frozen=True):
    retry_limit: int = 3  # consecutive failures
    error_codes: frozenset[int] | None = None  # those that count; None: retryable codes, 401, 403
    error_rate_threshold: float | None = None  # of the requests within `window`
    window: float = 60.0  # s
    maintenance_window: str | None = None  # cron expression and duration, "0 3 * * sun 2h"


class RecoveryPolicy(msgspec.Struct, frozen=True):
    cooldown: float = 60.0  # s
    max_cooldown: float = 900.0  # s
    probe_on_start: bool = False
    probe_interval: float | None = None  # s
    on_quota_reset: bool = True
    quota_reset_schedule: QuotaResetSchedule | None = None  # None: the provider's


class StreamPolicy(msgspec.Struct, frozen=True):
    first_token_timeout: float = FIRST_TOKEN_TIMEOUT
    idle_timeout: float = IDLE_TIMEOUT
    on_failure: OnStreamFailure = "continue"


class PacingPolicy(msgspec.Struct, frozen=True):
    """`rate_limit` of a pool. threshold: the fraction of a limit at which `rate-limit-aware` moves on.
    min_delta (s), max_rpm: of the requests to one model of the pool."""

    threshold: float = 0.9
    min_delta: float | None = None
    max_rpm: int | None = None


class CachePolicy(msgspec.Struct, frozen=True):
    ttl: float = 3600.0  # s
    max_size: int = 64 * 1024**2  # bytes
    scope: CacheScope = "app"


class SessionPolicy(msgspec.Struct, frozen=True):
    """What makes two requests one session. ttl: seconds without a request after which a session that had to move
    returns to its own model; None: it returns at once."""

    key: SessionKey = "auto"
    ttl: float | None = None
