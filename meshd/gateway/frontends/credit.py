"""Flow control by credit: a chunk of a stream is sent when its app has room for it.

Owns: how many chunks an app still accepts. Must never: hold a chunk back from an app with room, or let unread chunks
pile up.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import Final

from meshd.gateway.frontends.exchange import Deadline, Reply
from meshd.host.awake import Timeout
from meshd.host.build import mypyc_attr

MOST_CREDIT: Final = 1024
"""Chunks that an app may have outstanding, even if it grants more."""


@mypyc_attr(allow_interpreted_subclasses=True)
class CreditedReply(Reply):
    """credit: chunks that the app still accepts."""

    __slots__ = ("_given", "credit", "deadline")

    def __init__(self, deadline: Deadline, credit: int) -> None:
        super().__init__()
        self.deadline = deadline
        self.credit = min(credit, MOST_CREDIT)
        self._given: asyncio.Event | None = None

    @abstractmethod
    def _send_chunk(self, data: bytes) -> None:
        """Raises ClientGone."""

    @property
    def full(self) -> bool:
        """Whether the app has much to read. `wake` is called when it has read it."""
        return False

    async def chunk(self, data: bytes) -> None:
        while not self.chunk_now(data):
            self._given = self._given or asyncio.Event()
            self._given.clear()
            with Timeout(self.deadline.left()):
                await self._given.wait()

    def chunk_now(self, data: bytes) -> bool:
        if self.credit <= 0 or self.full:
            return False
        self.credit -= 1
        self._send_chunk(data)
        self.sent += 1
        self.deadline.begun()
        return True

    def add_credit(self, chunks: int) -> None:
        self.credit = min(self.credit + chunks, MOST_CREDIT)
        self.wake()

    def wake(self) -> None:
        if self._given is not None:
            self._given.set()
