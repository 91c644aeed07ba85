"""Rate limits: how much room there is at a provider, a model, a key, in a pool and for an app, and when there will be.

Owns: what response headers said, what was sent in the last minute, what is in flight.
Must never: decide between models, queue (`fair_queue.py`), read a clock or do I/O.

Limits come from the provider's response headers where it sends them, else from the configuration, else there are
none. Rule: spec/routing.md, Strategies and Queueing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshd.cdk.provider import RateLimits
from meshd.routing.estimate import Estimate
from meshd.routing.table import ModelSpec

if TYPE_CHECKING:
    from meshd.routing.stages import Question


@dataclass(frozen=True, slots=True)
class Crowd:
    """There is no room. frees_in: seconds until there may be, None: when a request ends."""

    reason: str
    frees_in: float | None


@dataclass(slots=True, eq=False)
class Passage:
    """One attempt's place, from `enter` to `leave`. key: the fingerprint of the key to use, "": the only one."""

    model: ModelSpec
    pool: str
    app: str
    estimate: Estimate
    at: float
    key: str = ""
    left: bool = False


@dataclass(frozen=True, slots=True)
class Headroom:
    """What is left of the tightest limit on requests and on tokens: fractions 0…1, 1 where there is no limit;
    requests, tokens: absolute, None where there is no limit."""

    fraction: float = 1.0
    requests: float | None = None
    tokens: float | None = None


class Rates:
    """Of all providers, models, pools and apps."""

    def crowd(self, question: Question, model: ModelSpec) -> Crowd | None:
        """Why `model` has no room for this request now, None when it has. Changes nothing."""
        raise NotImplementedError

    def enter(self, question: Question, model: ModelSpec, estimate: Estimate) -> Passage:
        """Take a place (and, where the provider has several keys, choose one by weight). The caller has seen
        `crowd` say None at the same instant, or asks regardless (a retry that the provider itself timed)."""
        raise NotImplementedError

    def leave(self, passage: Passage, now: float, tokens: int | None = None) -> None:
        """The attempt ended. tokens: that it used, None: not known, the estimate stands. Idempotent."""
        raise NotImplementedError

    def observe(self, passage: Passage, limits: RateLimits | None, now: float) -> None:
        """What the response headers said."""
        raise NotImplementedError

    def key_refused(self, passage: Passage, reason: str, cause: str, now: float, for_seconds: float) -> bool:
        """A provider with several keys refused this one: it rests alone. True while another key is usable."""
        raise NotImplementedError

    def headroom(self, question: Question, model: ModelSpec) -> Headroom:
        """For `rate-limit-aware` and `load-balanced`."""
        raise NotImplementedError

    def nothing_in_flight(self) -> None:
        """The requests under way have been lost with the router that served them."""
        raise NotImplementedError
