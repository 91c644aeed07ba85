"""An answer in flight for several apps that sent the same request.

Owns: how much of the answer has come, how far each app has read it, and whether any app still reads it.
Must never: end because one app of several leaves, or hold an unbounded amount for a slow one.

The request runs in a task of its own, with a `SharedReply` instead of its app's own; the app that started it is
one reader among others. It continues while there is a reader, so that no app loses its answer when another leaves; when
the last one leaves, it is cancelled. The provider is read as fast as the fastest reader; once more than `limit` waits
for slow ones, as fast as the slowest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from meshd.gateway.frontends.exchange import Deadline, Reply
from meshd.host import clock
from meshd.host.awake import Timeout
from modelmesh.errors import MeshError

AHEAD = 8
"""How many chunks may be waiting that no app has read."""
PLENTY = 60.0
"""Seconds: any other request may follow one that has at least this much time left."""


class Reader:
    """One app's position: `taken` chunks of the whole stream."""

    __slots__ = ("taken",)

    def __init__(self) -> None:
        self.taken = 0


class SharedRequest:
    """limit: bytes of a stream that are held for slow readers. deadline: of its own app.

    When it is `over`, it is one of: whole, with the `body` of a unary answer (and its headers) or the `chunks` of a
    stream (and its usage); failed, with the `error` that its app would have got; broken, with an exception (`bug`) of
    the request itself; or cancelled, if none of these.
    """

    def __init__(self, limit: int, deadline: Deadline) -> None:
        self.limit = limit
        self.chunks: list[bytes] = []  # those after the first `dropped`
        self.dropped = 0
        self.size = 0  # bytes of `chunks`
        self.body: bytes | None = None
        self.headers: dict[str, str] | None = None
        self.usage: dict[str, Any] | None = None
        self.mesh: dict[str, Any] = {}
        self.begun: dict[str, Any] = {}  # what is known about it before its end
        self.error: MeshError | None = None
        self.bug: Exception | None = None
        self.orphaned = False  # the app that started it has disconnected
        self.whole = False
        self.over = False
        self.deadline = deadline
        self.task: asyncio.Task[None] | None = None
        self._readers: set[Reader] = set()
        self._moved = asyncio.Event()  # the current one: each is set once, then replaced
        self._taken = asyncio.Event()

    # -- from the provider's side ---------------------------------------------------------------------

    async def put(self, data: bytes) -> None:
        """Add one chunk, when there is room for it. Raises TimeoutError at the deadline."""
        self.deadline.begun()
        while not self.over and self._full():
            self._taken.clear()
            with Timeout(self.deadline.left()):
                await self._taken.wait()
        self.chunks.append(data)
        self.size += len(data)
        self._move()

    def finish(
        self, mesh: dict[str, Any], *, body: bytes | None, headers: dict[str, str] | None, usage: dict[str, Any] | None
    ) -> None:
        """The answer is complete. Does nothing if it is over already."""
        if not self.over:
            self.mesh, self.body, self.headers, self.usage = mesh, body, headers, usage
            self.whole = True
            self.close()

    def fail(self, error: MeshError) -> None:
        """The answer will not come, or not completely. Does nothing if it is over already."""
        if not self.over:
            self.error = error
            self.close()

    def close(self) -> None:
        """Nothing more comes. Idempotent."""
        self.over = True
        self._move()

    # -- from the apps' side --------------------------------------------------------------------------

    def open_to(self, deadline: float) -> bool:
        """Whether a request with this `deadline` can still be answered by it, from the first chunk on.

        The shared request has the deadline of the app that started it, which would cut off its followers as well. So it
        is followed only while it has at least half as much time as they have, or plenty.
        """
        if self.whole:
            return self.dropped == 0
        if self.over or self.dropped or not self._readers:
            return False
        now = clock.now()
        return self.deadline.at - now >= min((deadline - now) / 2, PLENTY)

    @contextmanager
    def read(self) -> Iterator[Reader]:
        """Read within this context. The last reader to leave cancels the request."""
        reader = Reader()
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)
            self._taken.set()
            if not self._readers and not self.over and self.task is not None:
                self.task.cancel()

    async def next(self, reader: Reader) -> bytes | None:
        """The next chunk; None if there are no more. `took` marks it as read."""
        while reader.taken == self.dropped + len(self.chunks):
            if self.over:
                return None
            await self._moved.wait()
        return self.chunks[reader.taken - self.dropped]

    def took(self, reader: Reader) -> None:
        reader.taken += 1
        self._taken.set()

    # -- inside ---------------------------------------------------------------------------------------

    def _move(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _full(self) -> bool:
        came = self.dropped + len(self.chunks)
        if came - max((reader.taken for reader in self._readers), default=came) >= AHEAD:
            return True
        if self.size > self.limit:
            self._drop(min((reader.taken for reader in self._readers), default=came))
        return self.size > self.limit

    def _drop(self, until: int) -> None:
        """Drop the chunks that every app has read. After that no app can join."""
        held = self.chunks[until - self.dropped :]
        self.size -= sum(map(len, self.chunks)) - sum(map(len, held))
        self.chunks, self.dropped = held, until


class SharedReply(Reply):
    """The reply of a shared request, in place of its app's own."""

    __slots__ = ("shared",)

    def __init__(self, shared: SharedRequest) -> None:
        super().__init__()
        self.shared = shared

    def begins(self, mesh: dict[str, Any]) -> None:
        self.shared.begun = mesh

    def respond(self, body: bytes, mesh: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self.done = True
        self.shared.finish(mesh, body=body, headers=headers, usage=None)

    def error(self, error: MeshError) -> None:
        self.done = True
        self.shared.fail(error)

    def end(self, usage: dict[str, Any] | None, mesh: dict[str, Any]) -> None:
        self.done = True
        self.shared.finish(mesh, body=None, headers=None, usage=usage)

    async def chunk(self, data: bytes) -> None:
        await self.shared.put(data)
        self.sent += 1
