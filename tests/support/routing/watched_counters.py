"""Counters that note what is taken of them, and that have no room where a test says so."""

from __future__ import annotations

from collections.abc import Iterable

from meshd.routing.attempts.counters import Taken
from meshd.routing.attempts.local_counters import LocalCounters
from meshd.routing.availability.state import MeshState
from meshd.routing.budgets.reservations import Reservation
from meshd.routing.rates.headroom import NoRoom
from meshd.routing.rates.places import Place
from meshd.routing.request.question import Question
from meshd.routing.table.specs import ModelSpec, ProviderSpec, RateSpec
from meshd.sdk.provider import RateLimits


class WatchedCounters:
    """full: models and providers without room, as if other processes had just taken it. calls: "METHOD MODEL", or
    "METHOD PROVIDER" of a request that is passed on; taken: the models for which an attempt was to be taken."""

    def __init__(self, state: MeshState, full: Iterable[str] = ()) -> None:
        self.full = set(full)
        self.calls: list[str] = []
        self._local = LocalCounters(state)
        self._providers: dict[Place, str] = {}

    @property
    def taken(self) -> list[str]:
        return [call.removeprefix("take ") for call in self.calls if call.startswith("take ")]

    def take(self, question: Question, model: ModelSpec) -> Taken | None:
        self.calls.append(f"take {model.id}")
        return None if model.id in self.full else self._local.take(question, model)

    def settle(
        self, taken: Taken, now: float, tokens: int, cost: int, limits: RateLimits | None, *, sent: bool, left: bool
    ) -> None:
        self.calls.append(f"settle {taken.ticket.model.id}")
        self._local.settle(taken, now, tokens, cost, limits, sent=sent, left=left)

    def reserve(self, question: Question, model: ModelSpec) -> Reservation | None:
        self.calls.append(f"reserve {model.id}")
        return None if model.id in self.full else self._local.reserve(question, model)

    def owe(self, question: Question, model: ModelSpec) -> Reservation:
        self.calls.append(f"owe {model.id}")
        return self._local.owe(question, model)

    def settle_line(self, reservation: Reservation, tokens: int, cost: int, *, sent: bool = True) -> None:
        self.calls.append(f"settle_line {reservation.route.model.id}")
        self._local.settle_line(reservation, tokens, cost, sent=sent)

    def enter(self, account: str, rate: RateSpec, provider: ProviderSpec, now: float) -> Place | NoRoom:
        self.calls.append(f"enter {provider.name}")
        if provider.name in self.full:
            return NoRoom(f"another process took the room at {provider.name}", None)
        found = self._local.enter(account, rate, provider, now)
        if isinstance(found, Place):
            self._providers[found] = provider.name
        return found

    def leave(self, place: Place, tokens: int) -> None:
        self.calls.append(f"leave {self._providers.pop(place)}")
        self._local.leave(place, tokens)
