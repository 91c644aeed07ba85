"""What is left of an app's own limits, as the headers of each API.

Owns: their names and values. Must never: know how limits are counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime

from meshd.sdk.provider import RateLimits

Headers = list[tuple[str, str]]

_FIGURES = tuple((kind, what) for kind in ("requests", "tokens") for what in ("limit", "remaining", "reset"))
OPENAI_NAMES = tuple(f"x-ratelimit-{what}-{kind}" for kind, what in _FIGURES)
ANTHROPIC_NAMES = tuple(f"anthropic-ratelimit-{kind}-{what}" for kind, what in _FIGURES)


def as_openai(limits: RateLimits | None) -> Headers:
    """`x-ratelimit-reset-requests: 6m0s`. https://platform.openai.com/docs/guides/rate-limits, 2026-11-28"""
    return _named(OPENAI_NAMES, limits, _duration)


def as_anthropic(limits: RateLimits | None, now: float) -> Headers:
    """`anthropic-ratelimit-requests-reset` is a time, in RFC 3339. now: UTC seconds.
    https://docs.claude.com/en/api/rate-limits, 2026-11-28"""
    return _named(ANTHROPIC_NAMES, limits, lambda seconds: _moment(now + seconds))


def _named(names: tuple[str, ...], limits: RateLimits | None, reset: Callable[[float], str]) -> Headers:
    if limits is None:
        return []
    figures = (
        limits.limit_requests, limits.remaining_requests, limits.reset_requests,
        limits.limit_tokens, limits.remaining_tokens, limits.reset_tokens,
    )  # fmt: skip
    return [
        (name, reset(figure) if what == "reset" else str(figure))
        for name, (_, what), figure in zip(names, _FIGURES, figures, strict=True)
        if figure is not None
    ]


def _duration(seconds: float) -> str:
    if 0 < seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    whole = math.ceil(seconds)
    return f"{whole // 60}m{whole % 60}s" if whole >= 60 else f"{whole}s"


def _moment(at: float) -> str:
    return datetime.fromtimestamp(math.ceil(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
