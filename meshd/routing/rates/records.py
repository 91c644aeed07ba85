"""The records behind rate limits: an attempt's place, and the counters it is part of.

Owns: the records of `rates.py`. Must never: decide anything.
"""

from __future__ import annotations

from math import ceil

import msgspec

from meshd.routing.rates.header_limits import LeftAlone, Observed
from meshd.routing.rates.key_ring import KeyRing
from meshd.routing.rates.sliding_window import Sent, SlidingWindow
from meshd.routing.request.estimate import Estimate
from meshd.routing.table.specs import ModelSpec

EXPECTED_OUTPUT = 1024
"""Tokens, for a model without any record."""


class RateTicket(msgspec.Struct, eq=False):
    """One attempt's place, from `enter` to `leave`. key: the fingerprint of the key to use, "": the only one.
    tokens: how many it counts for. The rest is for `Rates` alone."""

    model: ModelSpec
    pool: str
    app: str
    estimate: Estimate
    at: float
    key: str = ""
    left: bool = False
    tokens: int = 0
    holders: tuple[Holder, ...] = ()  # whose `in_flight` it is counted in
    counted: tuple[tuple[SlidingWindow, Sent], ...] = ()
    record: ModelRecord | None = None
    observed: Observed | None = None
    number: int = 0  # of the request in `observed`
    mark: int = 0  # the tokens there, including its own
    life: int = 0


class Holder:
    """A provider or an app: what it has in flight, and what it sent in the last minute if that is limited."""

    __slots__ = ("in_flight", "keys", "window")

    def __init__(self) -> None:
        self.in_flight = 0
        self.window = SlidingWindow()
        self.keys: KeyRing | None = None  # a provider's


class ModelRecord:
    """output: the recent average of tokens beyond the estimated input, None: not known."""

    __slots__ = ("left_alone", "limits_tokens", "observed", "output", "used_at")

    def __init__(self) -> None:
        self.observed: dict[str, Observed] = {}  # by key
        self.output: float | None = None
        self.limits_tokens = False  # a header gave a limit of tokens
        self.left_alone: LeftAlone | None = None
        self.used_at = 0.0


def expected_tokens(estimate: Estimate, record: ModelRecord | None) -> int:
    """Tokens that a request counts for. record: of its model."""
    output = EXPECTED_OUTPUT if record is None or record.output is None else ceil(record.output)
    return estimate.tokens_in + min(estimate.tokens_out, output)


class Pace:
    """The pacing of one pool's requests to one model."""

    __slots__ = ("forget_at", "last", "window")

    def __init__(self) -> None:
        self.window = SlidingWindow()
        self.last = 0.0
        self.forget_at = 0.0
