"""What is left of an app's own limits, for its answers.

Must never: change anything, or tell an app the limits of another.
"""

from __future__ import annotations

from meshd.routing.rates.rates import Rates
from meshd.routing.rates.sliding_window import SlidingWindow
from meshd.routing.table.specs import RateSpec
from meshd.sdk.provider import RateLimits


def left_of(rates: Rates, account: str, rate: RateSpec, now: float) -> RateLimits | None:
    """account: the entry of `apps` whose limits these are. None if it has none for requests or tokens. They reset when
    nothing of the last minute counts any more."""
    if rate.rpm is None and rate.tpm is None:
        return None
    app = rates.apps.get(account)
    window = SlidingWindow() if app is None else app.window
    reset = window.empty_in(now)
    return RateLimits(
        rate.rpm,
        None if rate.rpm is None else max(rate.rpm - len(window), 0),
        None if rate.rpm is None else reset,
        rate.tpm,
        None if rate.tpm is None else max(rate.tpm - window.tokens, 0),
        None if rate.tpm is None else reset,
    )
