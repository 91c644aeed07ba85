"""Room for the bytes that the daemon holds for its users: messages that arrive, and answers that have not been read.

Owns: how much each user takes, and who waits for room. Must never: hold the bytes themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Protocol

from meshd.gateway.frontends.shares.fair_share import FairShare

FEWEST_BYTES = 256 * 1024**2  # of all users
FEWEST_MESSAGES = 4  # messages of the largest size, for which there is always room
_GENEROSITY = 1 / 11  # a single user gets a twelfth, as a body is held twice while it is sent to a provider


class Waiting(Protocol):
    """Waits for room. user: whose share it uses."""

    user: Hashable

    def try_again(self) -> bool:
        """Called when room has been given back. Returns whether it still waits."""


class Room(FairShare):
    """There is room for that many bytes, and for that many messages of the largest size."""

    __slots__ = ("_fewest_bytes", "_fewest_messages", "_waiting", "_wake_scheduled")

    def __init__(self, fewest_bytes: int = FEWEST_BYTES, fewest_messages: int = FEWEST_MESSAGES) -> None:
        super().__init__(fewest_bytes, _GENEROSITY)
        self._fewest_bytes = fewest_bytes
        self._fewest_messages = fewest_messages
        self._waiting: dict[Waiting, None] = {}
        self._wake_scheduled = False

    def resize(self, largest: int) -> None:
        """largest: bytes of the largest message that is allowed."""
        self.capacity = max(self._fewest_bytes, self._fewest_messages * largest)

    def give(self, user: Hashable, amount: int = 1) -> None:
        super().give(user, amount)
        if self._waiting and not self._wake_scheduled:
            self._wake_scheduled = True
            asyncio.get_running_loop().call_soon(self._wake)

    def wait(self, waiting: Waiting) -> None:
        """`waiting` is told when there may be room."""
        self._waiting[waiting] = None

    def stop_waiting(self, waiting: Waiting) -> None:
        self._waiting.pop(waiting, None)

    def _wake(self) -> None:
        """Those of one user in the order in which they wait."""
        self._wake_scheduled = False
        full = set()
        for waiting in list(self._waiting):
            if waiting.user not in full:
                if waiting.try_again():
                    full.add(waiting.user)
                else:
                    self._waiting.pop(waiting, None)
