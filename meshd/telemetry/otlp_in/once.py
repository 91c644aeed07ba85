"""Counts what agents report once: what the mesh served itself, or what was told in another way, not at all.

Owns: which sessions the mesh served, and by which signal each other session is told. Must never: grow without bound.

An agent may report the same requests as events, in metrics and in spans. The signal that comes first from a session is
the one that counts. An export whose answer was lost comes again, as it was. Metrics may be sums since the agent's
start; of those, the increase counts.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from meshd.core.events.records import Outcome
from meshd.core.fair_eviction import Shares
from meshd.telemetry.statistics.outside import OutsideUse

MOST_SESSIONS = 4096
MOST_SERIES = 8192
MOST_EXPORTS = 4096

Key = TypeVar("Key", bound=tuple[str, ...])
Found = TypeVar("Found")


class _Kept(Generic[Key, Found]):
    """The last entries, of which each user has its share. A key begins with its user."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._found: dict[Key, Found] = {}
        self._shares: Shares[Key] = Shares()

    def get(self, key: Key) -> Found | None:
        return self._found.get(key)

    def put(self, key: Key, value: Found) -> None:
        self._found[key] = value
        self._shares.put(key, key[0])
        if len(self._found) > self._most:
            del self._found[self._shares.pop()]


class Once:
    """started: UTC s; sums since an earlier time have been counted by an earlier run, as far as is known."""

    def __init__(self, started: float) -> None:
        self._started = started
        self._served: _Kept[tuple[str, str], bool] = _Kept(MOST_SESSIONS)
        self._signals: _Kept[tuple[str, str, str], str] = _Kept(MOST_SESSIONS)
        self._exports: _Kept[tuple[str, str], bool] = _Kept(MOST_EXPORTS)
        self._sums: _Kept[tuple[str, str, str, str], OutsideUse] = _Kept(MOST_SERIES)

    def served(self, outcome: Outcome) -> None:
        if outcome.session:
            self._served.put((outcome.user, outcome.session), True)

    def came_before(self, user: str, export: str) -> bool:
        """Whether the user has sent this export already. export: its digest; "": unknown."""
        if not export or self._exports.get((user, export)):
            return bool(export)
        self._exports.put((user, export), True)
        return False

    def new(self, use: OutsideUse) -> OutsideUse | None:
        """What is to be counted of it; None: nothing."""
        if self._served.get((use.user, use.session)):
            return None
        place = (use.user, use.agent, use.session)
        signal = self._signals.get(place) or use.signal
        self._signals.put(place, signal)
        if signal != use.signal:
            return None
        return self._increase(use) if use.series else use

    def _increase(self, use: OutsideUse) -> OutsideUse | None:
        place = (use.user, use.agent, use.session, use.series)
        before = self._sums.get(place)
        self._sums.put(place, use)
        if before is None:
            return use if use.began >= self._started else None
        if before.began != use.began:
            return use
        counts = (new - old for new, old in zip(use.counts, before.counts, strict=True))
        requests, tokens_in, tokens_out, tokens_cached, cost = (max(count, 0) for count in counts)
        return use._replace(
            requests=requests, tokens_in=tokens_in, tokens_out=tokens_out, tokens_cached=tokens_cached, cost=cost
        )
