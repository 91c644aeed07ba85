"""The part of each limit that batches may fill: the rest is kept for requests that apps wait for.

Must never: leave a batch without any room, however small a limit is.

Rule: docs/routing.md, Rate limits and waiting.
"""

from __future__ import annotations

from dataclasses import replace
from math import floor

import msgspec

from meshd.routing.table.policies import PacingPolicy
from meshd.routing.table.specs import ProviderSpec, RateSpec

_EXACT = 1e-9  # 0.29 * 100 is a little less than 29


def shared(
    provider: ProviderSpec, app: RateSpec, pacing: PacingPolicy, share: float
) -> tuple[ProviderSpec, RateSpec, PacingPolicy]:
    """The limits of a provider, an app and a pool, as they are for requests that may fill only this share of them."""
    return (
        replace(provider, rate=_part(provider.rate, share)),
        _part(app, share),
        msgspec.structs.replace(pacing, max_rpm=_of(pacing.max_rpm, share)),
    )


def held_back(limit: int | None, share: float) -> int:
    """How much of a limit has to stay free."""
    filled = _of(limit, share)
    return 0 if limit is None or filled is None else limit - filled


def _part(rate: RateSpec, share: float) -> RateSpec:
    return RateSpec(_of(rate.rpm, share), _of(rate.tpm, share), _of(rate.concurrency, share), share)


def _of(limit: int | None, share: float) -> int | None:
    return None if limit is None else min(max(floor(limit * share + _EXACT), 1), limit)
