"""Room for the bytes that the daemon holds for its users: messages that come in, and answers that are not read.

Owns: how much each user takes, and who waits for room. Must never: hold the bytes themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Protocol

from meshd.gateway.frontends.shares.fair_share import FairShare

_FEWEST = 256 * 1024**2  # bytes of all users
_MESSAGES = 4  # of the largest size, for which there is room in any case
_GENEROSITY = 1 / 11  # a user that is alone gets a twelfth, as a body is held twice while it is sent to a provider


class Waiting(Protocol):
    """Waits for room. user: the one whose share it is."""

    user: Hashable

    def try_again(self) -> bool:
        """Called when somebody gave room back. Returns whether it still waits."""


class Room(FairShare):
    __slots__ = ("_waiting", "_wake_scheduled")

    def __init__(self) -> None:
        super().__init__(_FEWEST, _GENEROSITY)
        self._waiting: dict[Waiting, None] = {}
        self._wake_scheduled = False

    def resize(self, largest: int) -> None:
        """largest: bytes of the largest message that is allowed."""
        self.capacity = max(_FEWEST, _MESSAGES * largest)

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
        """Those of one user in their order."""
        self._wake_scheduled = False
        full = set()
        for waiting in list(self._waiting):
            if waiting.user not in full:
                if waiting.try_again():
                    full.add(waiting.user)
                else:
                    self._waiting.pop(waiting, None)
