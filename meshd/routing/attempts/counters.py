"""What is taken of budgets and rates: by an attempt, by a line of a provider's batch, by a request that is passed on.

A decision only reads what is counted; `take` may still refuse. If several processes share their counters, another one
may have taken the room in between, and the router decides again.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from meshd.routing.budgets.reservations import Reservation
from meshd.routing.rates.headroom import NoRoom
from meshd.routing.rates.places import Place
from meshd.routing.rates.records import RateTicket
from meshd.routing.request.question import Question
from meshd.routing.table.specs import ModelSpec, ProviderSpec, RateSpec
from meshd.sdk.provider import RateLimits


class Taken(msgspec.Struct, gc=False):
    """reservation: in every budget, quota and rule that applies. ticket: a place at every rate limit."""

    reservation: Reservation
    ticket: RateTicket


class Counters(Protocol):
    """What all requests together have used and reserved. Decisions read `state.accounts` and `state.rates`, which are a
    copy of it. Each router has one of these (`Runtime.counters`), and nothing is taken in any other way."""

    # -- an attempt -----------------------------------------------------------------------------------

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
        """Replace what was taken by what was used. cost: 10⁻⁹ USD. limits: what the provider reported of its own
        limits. sent: it may have reached the provider; left: this machine could send it."""

    # -- a line of a provider's batch -----------------------------------------------------------------

    def reserve(self, question: Question, model: ModelSpec) -> Reservation | None:
        """Take the most that the line can cost, in all scopes or in none. Returns None if there is no room. It takes no
        place at a rate limit, since a provider answers batches at its own pace."""

    def owe(self, question: Question, model: ModelSpec) -> Reservation:
        """The same for a line that the provider has answered already, which has to be paid for, room or not."""

    def settle_line(self, reservation: Reservation, tokens: int, cost: int, *, sent: bool = True) -> None:
        """Replace what was reserved by what was used. cost: 10⁻⁹ USD. sent: False if the provider did not answer it."""

    # -- a request that is passed on ------------------------------------------------------------------

    def enter(self, account: str, rate: RateSpec, provider: ProviderSpec, now: float) -> Place | NoRoom:
        """Take a place at the limits of an app and of a provider, or return why there is none. It takes nothing of
        budgets, since the price is not known. account: the name that the app counts under. rate: the app's limits."""

    def leave(self, place: Place, tokens: int) -> None:
        """Give back the place of a request that has ended. tokens: that it used. Idempotent."""
