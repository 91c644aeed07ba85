"""What an attempt takes of budgets and rates: everything at once, or nothing.

A decision only reads what is counted; `take` may still refuse. If several processes share their counters, another one
may have taken the room in between, and the router decides again.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from meshd.routing.budgets.reservations import Reservation
from meshd.routing.rates.records import RateTicket
from meshd.routing.request.question import Question
from meshd.routing.table.specs import ModelSpec
from meshd.sdk.provider import RateLimits


class Taken(msgspec.Struct, gc=False):
    """reservation: in every budget, quota and rule that applies. ticket: a place at every rate limit."""

    reservation: Reservation
    ticket: RateTicket


class Counters(Protocol):
    """What all requests together have used and reserved. Decisions read `state.accounts` and `state.rates`, which are a
    copy of it."""

    def take(self, question: Question, model: ModelSpec) -> Taken | None:
        """Take everything for one attempt at `model`, which a decision has just chosen, in all scopes or in none.
        Returns None if there is no room any more; the copy that decisions read has been updated then."""

    def settle(
        self,
        taken: Taken,
        now: float,
        tokens: int,
        cost: int,
        limits: RateLimits | None,
        *,
        sent: bool,
        left: bool,
    ) -> None:
        """Replace what was taken by what was used. cost: 10⁻⁹ USD. limits: what the provider said of its own. sent: it
        may have reached the provider; left: this machine could send it."""
