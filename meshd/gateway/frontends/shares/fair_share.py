"""How much of something each user may take, so that no user takes what others need.

Owns: what each user has. Must never: know what it is (connections, requests, bytes).

A user may take more while it has less than a fixed multiple of what is free. So something is always left: with a
generosity of 3, a single user gets three quarters, and the next one three quarters of the rest. Source: the dynamic
thresholds of shared-memory switches (Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998).
One part in eight is for operators alone, who may take everything.
"""

from __future__ import annotations

from collections.abc import Hashable

_FOR_OPERATORS = 8


class FairShare:
    """capacity: of all users together."""

    __slots__ = ("_generosity", "_has", "capacity", "total")

    def __init__(self, capacity: int, generosity: float) -> None:
        self.capacity = capacity
        self.total = 0
        self._generosity = generosity
        self._has: dict[Hashable, int] = {}

    def of(self, user: Hashable) -> int:
        return self._has.get(user, 0)

    def fits(self, user: Hashable, amount: int = 1, *, operator: bool = False, least: int = 0) -> bool:
        """Whether the user may take it now. least: what it may have in any case, as long as any is left."""
        free = self.capacity - self.total
        if operator:
            return amount <= free
        free -= self.capacity // _FOR_OPERATORS
        return amount <= free and self._has.get(user, 0) + amount <= max(self._generosity * free, least)

    def take(self, user: Hashable, amount: int = 1) -> None:
        """Take it, even if it does not fit."""
        self.total += amount
        self._has[user] = self._has.get(user, 0) + amount

    def give(self, user: Hashable, amount: int = 1) -> None:
        """Give back what was taken."""
        self.total -= amount
        left = self._has.get(user, 0) - amount
        if left:
            self._has[user] = left
        else:
            self._has.pop(user, None)
