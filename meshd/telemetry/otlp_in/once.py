"""Counts what agents report once: what the mesh served itself, or what was told in another way, not at all.

Owns: which sessions the mesh served, and by which signal each other session is told. Must never: grow without bound.

An agent may report the same requests as events, in metrics and in spans. The signal that comes first from a session is
the one that counts. Metrics may be sums since the agent's start; of those, the increase counts.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

from meshd.core.events.records import Outcome
from meshd.telemetry.statistics.outside import OutsideUse

MOST_SESSIONS = 4096
MOST_SERIES = 8192

Key = TypeVar("Key")
Kept = TypeVar("Kept")


class Once:
    """started: UTC s; sums since an earlier time have been counted by an earlier life, as far as is known."""

    def __init__(self, started: float) -> None:
        self._started = started
        self._served: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._signals: OrderedDict[tuple[str, str, str], str] = OrderedDict()
        self._sums: OrderedDict[tuple[str, str, str, str], tuple[float, OutsideUse]] = OrderedDict()

    def served(self, outcome: Outcome) -> None:
        if outcome.session:
            _keep(self._served, (outcome.user, outcome.session), None, MOST_SESSIONS)

    def new(self, use: OutsideUse) -> OutsideUse | None:
        """What is to be counted of it; None: nothing."""
        if (use.user, use.session) in self._served:
            return None
        place = (use.user, use.agent, use.session)
        signal = self._signals.get(place, use.signal)
        _keep(self._signals, place, signal, MOST_SESSIONS)
        if signal != use.signal:
            return None
        return self._increase(use) if use.series else use

    def _increase(self, use: OutsideUse) -> OutsideUse | None:
        place = (use.user, use.agent, use.session, use.series)
        began, before = self._sums.get(place, (use.began, None))
        _keep(self._sums, place, (use.began, use), MOST_SERIES)
        if before is None:
            return use if use.began >= self._started else None
        if began != use.began:
            return use
        counts = (new - old for new, old in zip(use.counts, before.counts, strict=True))
        requests, tokens_in, tokens_out, tokens_cached, cost = (max(count, 0) for count in counts)
        return use._replace(
            requests=requests, tokens_in=tokens_in, tokens_out=tokens_out, tokens_cached=tokens_cached, cost=cost
        )


def _keep(into: OrderedDict[Key, Kept], key: Key, value: Kept, most: int) -> None:
    into[key] = value
    into.move_to_end(key)
    if len(into) > most:
        into.popitem(last=False)
