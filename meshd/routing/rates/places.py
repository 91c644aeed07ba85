"""Places at rate limits for requests that involve no decision: those that are passed on as they are.

Must never: give a place that `Rates` would not give.
"""

from __future__ import annotations

from meshd.routing.rates.headroom import NoRoom, no_room_this_minute
from meshd.routing.rates.key_ring import KeyRing
from meshd.routing.rates.rates import Rates
from meshd.routing.rates.records import Holder
from meshd.routing.rates.sliding_window import Sent
from meshd.routing.table.specs import ProviderSpec, RateSpec


class Place:
    """The place of one request at an app's and a provider's limits, from `take` to `leave`. key: the id of the
    provider's key, "" if it has one."""

    def __init__(self, key: str) -> None:
        self.key = key
        self._taken: list[tuple[Holder, Sent]] = []

    def add(self, holder: Holder, now: float) -> None:
        holder.in_flight += 1
        self._taken.append((holder, holder.window.add(now, 0)))

    def leave(self, tokens: int) -> None:
        """tokens: that it used."""
        for holder, sent in self._taken:
            holder.in_flight = max(holder.in_flight - 1, 0)  # a router that crashed has forgotten it
            holder.window.correct(sent, tokens)
        self._taken.clear()


def next_key(rates: Rates, provider: ProviderSpec, now: float) -> str:
    """The id of the provider's key whose turn it is, "" if it has only one."""
    if not provider.keys:
        return ""
    server = rates.providers.setdefault(provider.name, Holder())
    ring = server.keys = server.keys or KeyRing()
    ring.configure(provider.keys)
    return ring.take(now, lambda _: True)


def take(rates: Rates, account: str, rate: RateSpec, provider: ProviderSpec, now: float) -> Place | NoRoom:
    """A place, or why there is none."""
    app = rates.apps.setdefault(account, Holder())
    server = rates.providers.setdefault(provider.name, Holder())
    for who, holder, limits in ((f"app {account}", app, rate), (provider.name, server, provider.rate)):
        if limits.concurrency is not None and holder.in_flight >= limits.concurrency:
            return NoRoom(f"{who} is at its concurrency limit of {limits.concurrency}", None)
        no_room = no_room_this_minute(who, holder.window, limits.rpm, limits.tpm, 0, now)
        if no_room is not None:
            return no_room
    place = Place(next_key(rates, provider, now))
    place.add(app, now)
    place.add(server, now)
    return place
