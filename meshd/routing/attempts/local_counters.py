"""The counters of one process.

Must never: do I/O; what daemons share is told to it.
"""

from __future__ import annotations

from meshd.routing.attempts.counters import Taken
from meshd.routing.availability.state import MeshState
from meshd.routing.budgets.reservations import Reservation
from meshd.routing.rates import places
from meshd.routing.rates.headroom import NoRoom
from meshd.routing.rates.places import Place
from meshd.routing.request.question import Question
from meshd.routing.table.specs import ModelSpec, ProviderSpec, RateSpec
from meshd.sdk.provider import RateLimits


class LocalCounters:
    """The counters of this process: decisions read the counts themselves, so `take` refuses what they chose only where
    other daemons share a limit."""

    def __init__(self, state: MeshState) -> None:
        self._state = state

    # -- an attempt -----------------------------------------------------------------------------------

    def take(self, question: Question, model: ModelSpec) -> Taken | None:
        if self._state.accounts.lacks(question, model):
            return None
        reservation = self._state.accounts.reserve(question, model)
        return Taken(reservation, self._state.rates.enter(question, model, reservation.estimate))

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
        self._state.accounts.settle(taken.reservation, tokens, cost, sent=sent)
        self._state.rates.observe(taken.ticket, limits, now)
        self._state.rates.leave(taken.ticket, tokens, sent=left)

    # -- a line of a provider's batch -----------------------------------------------------------------

    def reserve(self, question: Question, model: ModelSpec) -> Reservation | None:
        accounts = self._state.accounts
        return None if accounts.refusal(question, model) is not None else accounts.reserve(question, model)

    def owe(self, question: Question, model: ModelSpec) -> Reservation:
        return self._state.accounts.reserve(question, model)

    def settle_line(self, reservation: Reservation, tokens: int, cost: int, *, sent: bool = True) -> None:
        self._state.accounts.settle(reservation, tokens, cost, sent=sent)

    # -- a request that is passed on ------------------------------------------------------------------

    def enter(self, account: str, rate: RateSpec, provider: ProviderSpec, now: float) -> Place | NoRoom:
        return places.take(self._state.rates, account, rate, provider, now)

    def leave(self, place: Place, tokens: int) -> None:
        place.leave(tokens)
