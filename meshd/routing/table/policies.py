"""A pool's rules: for failures and recovery, pacing, the cache and sessions.

Must never: change after it was built, or do I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    max_attempts: int = 2  # on the same model
    backoff: Literal["fixed", "exponential_jitter", "retry_after"] = "exponential_jitter"
    initial_delay: float = 0.5  # s
    max_delay: float = 10.0  # s
    retryable_codes: frozenset[int] | None = None  # None: the provider's
    non_retryable_codes: frozenset[int] | None = None
    scope: Literal["same_model", "same_provider", "any"] = "any"
    honor_retry_after: bool = True
    deadline: float | None = None  # s, all attempts; None: the request's


@dataclass(frozen=True, slots=True)
class DeactivationPolicy:
    retry_limit: int = 3  # consecutive failures
    error_codes: frozenset[int] | None = None  # those that count; None: retryable codes, 401, 403
    error_rate_threshold: float | None = None  # of the requests within `window`
    window: float = 60.0  # s
    maintenance: str | None = None  # cron expression and duration, "0 3 * * sun 2h"


@dataclass(frozen=True, slots=True)
class RecoveryPolicy:
    cooldown: float = 60.0  # s
    max_cooldown: float = 900.0  # s
    probe_on_start: bool = False
    probe_interval: float | None = None  # s
    on_quota_reset: bool = True
    quota_reset_schedule: Literal["monthly", "daily_utc"] | None = None  # None: the provider's


@dataclass(frozen=True, slots=True)
class StreamPolicy:
    first_token_timeout: float = 30.0  # s
    idle_timeout: float = 30.0  # s
    on_failure: Literal["continue", "terminate"] = "continue"


@dataclass(frozen=True, slots=True)
class PacingPolicy:
    """`rate_limit` of a pool. threshold: the fraction of a limit at which `rate-limit-aware` moves on.
    min_delta (s), max_rpm: of the requests to one model of the pool."""

    threshold: float = 0.9
    min_delta: float | None = None
    max_rpm: int | None = None


@dataclass(frozen=True, slots=True)
class CachePolicy:
    ttl: float = 3600.0  # s
    max_size: int = 64 * 1024**2  # bytes
    scope: Literal["app", "user", "shared"] = "app"


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """What makes two requests one session. ttl: seconds without a request after which a session that had to move
    returns to its own model; None: it returns at once."""

    key: Literal["auto", "header", "user", "app"] = "auto"
    ttl: float | None = None
