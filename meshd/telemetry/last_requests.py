"""The last requests that ended, for those who look.

Owns: which of them are kept. Must never: let one app's many requests push out the few of another.
"""

from __future__ import annotations

from collections.abc import Iterator

from meshd.core.events.records import Outcome
from meshd.core.fair_eviction import Shares

MOST = 500


class LastRequests:
    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: dict[int, Outcome] = {}  # by the number of the request, oldest first
        self._shares: Shares[int] = Shares()
        self._number = 0

    def add(self, outcome: Outcome) -> None:
        self._number += 1
        self._kept[self._number] = outcome
        self._shares.put(self._number, (outcome.uid, outcome.app))
        if len(self._kept) > self._most:
            del self._kept[self._shares.pop()]

    def __iter__(self) -> Iterator[Outcome]:
        """Oldest first."""
        return iter(self._kept.values())

    def __reversed__(self) -> Iterator[Outcome]:
        return reversed(self._kept.values())
