"""The events of a response in the background, for apps that stream it: any number of them, each at its own pace.

Owns: which events are still kept, and the wait for the next. Must never: take more memory than allowed, or make the
answer wait for an app that reads slowly.
"""

from __future__ import annotations

import asyncio

from meshd.gateway.frontends.exchange import Deadline, Reply
from meshd.host.awake import Timeout
from modelmesh.errors import MeshError, RequestTimeoutError

EVENT_BYTES = 160  # bytes of memory in addition to an event itself


class EventLog:
    """user: whose share it takes. at: UTC seconds. begin: the number of the first event that is still kept. end: that
    of the next event to come. size: bytes of memory, approximately. ended: no more will come."""

    def __init__(self, user: str, at: float) -> None:
        self.user = user
        self.at = at
        self.begin = self.end = self.size = 0
        self.ended = False
        self._events: dict[int, bytes] = {}
        self._news = asyncio.Event()

    # -- writing --------------------------------------------------------------------------------------

    def add(self, event: bytes, room: int, *, last: bool = False) -> None:
        """room: bytes; the oldest events make room for it."""
        if self.ended:
            return
        self._events[self.end] = event
        self.end += 1
        self.size += EVENT_BYTES + len(event)
        while self.size > room:
            self.size -= EVENT_BYTES + len(self._events.pop(self.begin))
            self.begin += 1
        self.ended = last
        self._wake()

    def clear(self) -> None:
        """Drop all kept events; later ones are kept."""
        self._events.clear()
        self.begin, self.size = self.end, 0

    def forget(self) -> None:
        """Drop all events, and keep no later ones."""
        self.clear()
        self.begin, self.ended = self.end + 1, True
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    # -- reading --------------------------------------------------------------------------------------

    def has(self, number: int) -> bool:
        """Whether everything from this event on is kept or still to come."""
        return number >= self.begin

    async def send(self, reply: Reply, number: int, deadline: Deadline, gone: MeshError) -> None:
        """Answer with everything from this event on. Raises `gone` if that was dropped, RequestTimeoutError if it has
        not ended by the deadline, and as `Reply.chunk`."""
        while True:
            if not self.has(number):
                raise gone
            event = self._events.get(number)
            if event is not None:
                if not reply.chunk_now(event):
                    await reply.chunk(event)
                number += 1
            elif self.ended:
                break
            else:
                await self._next(deadline)
        reply.end(None, {})

    async def _next(self, deadline: Deadline) -> None:
        try:
            with Timeout(deadline.left()):
                await self._news.wait()
        except TimeoutError:
            raise RequestTimeoutError("The response has not ended before the deadline; ask for the rest.") from None
