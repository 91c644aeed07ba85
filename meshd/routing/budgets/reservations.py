"""What one attempt has reserved in its scopes, and the sums that count it.

Owns: a reservation, and the route that the attempts of one app at one model share. Must never: decide what fits
(`accounts.py`), read a clock or do I/O.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from meshd.routing.budgets.limit import Limit
from meshd.routing.budgets.windows import Bucket, Meter, Rolling, Sums
from meshd.routing.request.estimate import Estimate
from meshd.routing.table.specs import ModelSpec


@dataclass(slots=True, eq=False)
class Route:
    """The counters for one app's attempts at one model of one pool. sums: those with a limit, always up to date.
    others: the rest, which get what is in `lump` when they are read. checks: (taken, measure, limit's amount, limit) of
    what is enforced. budget: the first limit of money. unpriced: the same, for a model of unknown price."""

    model: ModelSpec
    account: str
    meters: tuple[Meter, ...]
    limits: tuple[Limit, ...]
    sums: tuple[Sums, ...]
    others: tuple[Sums, ...]
    rollings: tuple[Rolling, ...]
    checks: tuple[tuple[list[int], int, int, Limit], ...] = ()
    unpriced: Limit | None = None
    budget: Limit | None = None
    lump: Sums = field(default_factory=Sums)

    def settle_straight(self) -> None:
        """From now on, open reservations settle into each sum directly; the lump has been spread."""
        self.sums += self.others
        self.others = ()


class Reservation(msgspec.Struct, eq=False):
    """What one attempt holds in all its scopes. day: the calendar day it counts on ("2026-11-23"), account: the name
    its app counts under, both for the journal. write_percent: of the price of input, what is written to a cache."""

    estimate: Estimate
    day: str
    account: str
    route: Route
    buckets: list[tuple[Rolling, Bucket]]
    settled: bool = False
    write_percent: int = 100


def sums_of(meters: Iterable[Meter], day: str) -> tuple[Sums, ...]:
    """The sums that count an attempt on that day, except rolling windows, whose buckets change by the minute."""
    found = []
    for meter in meters:
        found += [meter.day(day), meter.month(day[:7])]
        if meter.stint is not None:
            found.append(meter.stint)
    return tuple(found)
