"""The requests of batches that may be in flight at once.

Owns: how many each user has, and whose turn is next: the user with the fewest. Must never: know what they are for.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class Slots:
    """capacity: a function, because a reload may change it."""

    def __init__(self, capacity: Callable[[], int]) -> None:
        self._capacity = capacity
        self._has: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def one(self, user: str) -> AsyncIterator[None]:
        await self._take(user)
        try:
            yield
        finally:
            self._give(user)

    async def _take(self, user: str) -> None:
        if self._has.total() < self._capacity() and not self._waiting:
            self._has[user] += 1
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(user, deque()).append(granted)
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self._give(user)
            else:
                self._leave(user, granted)
            raise

    def _give(self, user: str) -> None:
        self._has[user] -= 1
        if not self._has[user]:
            del self._has[user]
        self.grant()

    def grant(self) -> None:
        """Admit as many as fit. Call it when the capacity has changed."""
        while self._waiting and self._has.total() < self._capacity():
            user = min(self._waiting, key=lambda each: self._has[each])
            granted = self._waiting[user][0]
            self._leave(user, granted)
            if not granted.done():
                self._has[user] += 1
                granted.set_result(None)

    def _leave(self, user: str, granted: asyncio.Future[None]) -> None:
        line = self._waiting.get(user)
        if line is not None and granted in line:
            line.remove(granted)
            if not line:
                del self._waiting[user]
