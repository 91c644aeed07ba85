"""The places for connections, at all addresses of the daemon together.

Owns: how many there are, each user's share of them, and how fast a user takes them.
Must never: let users take the descriptors that others, files and providers need.
"""

from __future__ import annotations

from collections.abc import Hashable

from meshd.gateway.frontends.shares.fair_share import FairShare
from meshd.host.process import descriptors

MOST_CONNECTIONS = 8192
"""For all users together, and at most half of the descriptors; the other half is for providers and files."""
_GENEROSITY = 1 / 3  # a single user gets a quarter of the places that are not the operators': a fifth of all
_OPERATORS_FEW = 4  # connections of an operator, which the other one cannot take from it
BURST = 256  # connections that a user may make at once,
PACE = 64.0  # and a second: to look up who connects takes ten times as long as to refuse it
NO_DESCRIPTORS = "no file descriptors are left; raise LimitNOFILE= or `ulimit -n`"


class ConnectionPlaces(FairShare):
    """most: for all users together. burst, pace: connections that a user may make at once, and a second."""

    __slots__ = ("_burst", "_due", "_most", "_others", "_pace")

    def __init__(self, most: int = MOST_CONNECTIONS, burst: int = BURST, pace: float = PACE) -> None:
        super().__init__(0, _GENEROSITY)
        self._most = most
        self._burst = burst
        self._pace = pace
        self._others = -1  # descriptors that were open before there were connections; -1: not counted yet
        self._due: dict[Hashable, float] = {}  # user → when all of its connections have been within the pace

    def open(self) -> None:
        """Called before a socket accepts its first connection. Idempotent."""
        if self._others < 0:
            self._others = descriptors.in_use()

    def refusal(self, user: Hashable, now: float, *, own: bool) -> str:
        """Why the user may not make another connection now, or "". now: monotonic s. own: root and the daemon's own
        user, who keep the last places."""
        free = descriptors.limit() - self._others - descriptors.LAST
        self.capacity = max(min(self._most, free // 2), 0)  # the limit may have been changed from outside
        has = self.of(user)
        if not self.fits(user, operator=own) and not (own and has < _OPERATORS_FEW):
            return f"it has {has} already, and all users together {self.total}"
        if not descriptors.left(descriptors.LAST if own else descriptors.LAST + descriptors.reserve() // 2):
            return NO_DESCRIPTORS
        return "" if own or self._paced(user, now) else f"it makes too many, more than {self._pace:g} a second"

    def _paced(self, user: Hashable, now: float) -> bool:
        """Whether the user makes no more connections than it may (the generic cell rate algorithm)."""
        due = max(self._due.get(user, now), now) + 1 / self._pace
        if due - now > self._burst / self._pace:
            return False
        if len(self._due) > 256:
            self._due = {each: until for each, until in self._due.items() if until > now}
        self._due[user] = due
        return True
