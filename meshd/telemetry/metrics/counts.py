"""The counts behind the metrics: of one kind of attempt, and of one kind of request.

Must never: name a metric.
"""

from __future__ import annotations

from bisect import bisect_left

from meshd.core.events.records import Attempt, Outcome
from meshd.sdk.metrics import Distribution
from meshd.telemetry.metrics.instruments import FIRST_TOKEN, PER_TOKEN, SECONDS, TOKENS, WAITS


class Histogram:
    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def merge(self, other: Histogram) -> None:
        self.counts = [one + two for one, two in zip(self.counts, other.counts, strict=True)]
        self.total += other.total

    def value(self) -> Distribution | None:
        """None if nothing was counted."""
        return Distribution(tuple(self.counts), self.total) if any(self.counts) else None


class Attempts:
    """Of one operation, provider, model and kind of failure."""

    __slots__ = ("duration", "tokens_in", "tokens_out")

    def __init__(self) -> None:
        self.duration = Histogram(SECONDS)
        self.tokens_in, self.tokens_out = Histogram(TOKENS), Histogram(TOKENS)

    def count(self, attempt: Attempt) -> None:
        self.duration.add(attempt.duration)
        if attempt.tokens_in:
            self.tokens_in.add(attempt.tokens_in)
        if attempt.tokens_out:
            self.tokens_out.add(attempt.tokens_out)


class Requests:
    """Of one operation, pool, provider, model, app and status. cost: 10⁻⁹ USD."""

    __slots__ = (
        "cached",
        "cost",
        "duration",
        "ended",
        "first_token",
        "hedges",
        "per_token",
        "queue",
        "retries",
        "rotations",
        "routing",
        "tokens_cached",
        "tokens_in",
        "tokens_out",
        "units",
    )

    def __init__(self) -> None:
        self.duration = Histogram(SECONDS)
        self.first_token, self.per_token = Histogram(FIRST_TOKEN), Histogram(PER_TOKEN)
        self.queue, self.routing = Histogram(WAITS), Histogram(WAITS)
        self.ended = self.cost = self.tokens_in = self.tokens_out = self.tokens_cached = 0
        self.cached = self.retries = self.rotations = self.hedges = 0
        self.units: dict[str, int] = {}

    def count(self, outcome: Outcome) -> None:
        self.ended += 1
        self.duration.add(outcome.total_time)
        self.queue.add(outcome.queue_time)
        self.routing.add(outcome.routing_time)
        self.tokens_in += outcome.tokens_in
        self.tokens_out += outcome.tokens_out
        self.tokens_cached += outcome.tokens_cached
        self.cost += outcome.cost
        self.cached += outcome.cached
        self.retries += outcome.retries
        self.rotations += outcome.rotations
        self.hedges += outcome.hedges
        for unit, count in outcome.units.items():
            self.units[unit] = self.units.get(unit, 0) + count
        if outcome.first_token_time is not None and outcome.status < 400:
            self._count_stream(outcome, outcome.first_token_time)

    def _count_stream(self, outcome: Outcome, first: float) -> None:
        self.first_token.add(first)
        waited = outcome.queue_time + outcome.routing_time + first
        if outcome.tokens_out > 1 and outcome.total_time > waited:
            self.per_token.add((outcome.total_time - waited) / (outcome.tokens_out - 1))
