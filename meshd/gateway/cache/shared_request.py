"""An answer in flight for several apps that asked for the same.

Owns: what has come of the answer, how far each app has read it, and when no app wants it any more.
Must never: end because one app of several leaves, or hold an unbounded amount for a slow one.

The request runs in a task of its own, with a `FlightExchange` instead of its app's exchange; the app that started it is
one reader among others. It continues while there is one, so no app loses its answer when another leaves, and is
cancelled when the last leaves. The provider is read as fast as the fastest reader; once more than `limit` waits for
slow ones, as fast as the slowest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from meshd.gateway.frontends.exchange import Exchange
from meshd.host import clock
from meshd.host.awake import Limit
from modelmesh.errors import MeshError

AHEAD = 8
"""Chunks that may have come and not been read by any app."""


class Place:
    """One app's position: `taken` chunks of the whole stream."""

    __slots__ = ("taken",)

    def __init__(self) -> None:
        self.taken = 0


class Flight:
    """limit: bytes of a stream that are held for slow readers.

    When it is `over`, it is one of: whole, with the `body` of a unary answer (and its headers) or the `chunks` of a
    stream (and its usage); failed, with the `error` its app would have had; broken, with an exception (`bug`) of the
    request's own; or none of these, cancelled.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.chunks: list[bytes] = []  # those after the first `dropped`
        self.dropped = 0
        self.size = 0  # bytes of `chunks`
        self.body: bytes | None = None
        self.headers: dict[str, str] | None = None
        self.usage: dict[str, Any] | None = None
        self.mesh: dict[str, Any] = {}
        self.error: MeshError | None = None
        self.bug: Exception | None = None
        self.orphaned = False  # its own app has left
        self.whole = False
        self.over = False
        self.deadline = self.latest = 0.0  # as of an exchange
        self.task: asyncio.Task[None] | None = None
        self._places: set[Place] = set()
        self._moved = asyncio.Event()  # the current one: each is set once, then replaced
        self._taken = asyncio.Event()

    # -- from the provider's side ---------------------------------------------------------------------

    async def put(self, data: bytes) -> None:
        """One chunk, when there is room for it. Raises TimeoutError at the deadline."""
        self.deadline = self.latest
        while not self.over and self._full():
            self._taken.clear()
            with Limit(max(self.deadline - clock.now(), 0.0)):
                await self._taken.wait()
        self.chunks.append(data)
        self.size += len(data)
        self._move()

    def finish(
        self, mesh: dict[str, Any], *, body: bytes | None, headers: dict[str, str] | None, usage: dict[str, Any] | None
    ) -> None:
        """The answer is whole. Does nothing if it is over already."""
        if not self.over:
            self.mesh, self.body, self.headers, self.usage = mesh, body, headers, usage
            self.whole = True
            self.close()

    def fail(self, error: MeshError) -> None:
        """The answer will not come, or not to its end. Does nothing if it is over already."""
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

        The flight has its own app's deadline, which would cut off its followers as well: so it is followed only while
        it has half as much time as they have, or plenty.
        """
        if self.whole:
            return self.dropped == 0
        if self.over or self.dropped or not self._places:
            return False
        now = clock.now()
        return self.deadline - now >= min((deadline - now) / 2, PLENTY)

    @contextmanager
    def place(self) -> Iterator[Place]:
        """A reader's stay. The last to leave cancels the flight."""
        place = Place()
        self._places.add(place)
        try:
            yield place
        finally:
            self._places.discard(place)
            self._taken.set()
            if not self._places and not self.over and self.task is not None:
                self.task.cancel()

    async def next(self, place: Place) -> bytes | None:
        """The next chunk; None if there are no more. `took` marks it as read."""
        while place.taken == self.dropped + len(self.chunks):
            if self.over:
                return None
            await self._moved.wait()
        return self.chunks[place.taken - self.dropped]

    def took(self, place: Place) -> None:
        place.taken += 1
        self._taken.set()

    # -- inside ---------------------------------------------------------------------------------------

    def _move(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _full(self) -> bool:
        came = self.dropped + len(self.chunks)
        if came - max((place.taken for place in self._places), default=came) >= AHEAD:
            return True
        if self.size > self.limit:
            self._drop(min((place.taken for place in self._places), default=came))
        return self.size > self.limit

    def _drop(self, until: int) -> None:
        """Drop the chunks that every app has read. No app can join from here on."""
        held = self.chunks[until - self.dropped :]
        self.size -= sum(map(len, self.chunks)) - sum(map(len, held))
        self.chunks, self.dropped = held, until


PLENTY = 60.0  # s


class FlightExchange(Exchange):
    """What a shared request runs with: `app`'s exchange, except for where the answer goes."""

    __slots__ = ("_app", "flight")

    def __init__(self, app: Exchange, flight: Flight) -> None:
        self._app = app
        self.flight = flight
        for name in Exchange.__slots__:
            setattr(self, name, getattr(app, name))
        self.sent, self.done, self.task, self._credit_given = 0, False, None, None
        flight.deadline, flight.latest = app.deadline, app.latest

    @property
    def begun(self) -> bool:
        """The app's own, which decides what happens when the daemon ends."""
        return self._app.begun

    @begun.setter
    def begun(self, begun: bool) -> None:
        self._app.begun = begun

    @property
    def cut_off(self) -> MeshError | None:
        return self._app.cut_off

    @cut_off.setter
    def cut_off(self, reason: MeshError | None) -> None:
        self._app.cut_off = reason

    @property
    def handed_on(self) -> bool:
        return self._app.handed_on

    @handed_on.setter
    def handed_on(self, handed_on: bool) -> None:
        self._app.handed_on = handed_on

    def respond(self, body: bytes, mesh: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self.done = True
        self.flight.finish(mesh, body=body, headers=headers, usage=None)

    def error(self, error: MeshError) -> None:
        self.done = True
        self.flight.fail(error)

    def end(self, usage: dict[str, Any] | None, mesh: dict[str, Any]) -> None:
        self.done = True
        self.flight.finish(mesh, body=None, headers=None, usage=usage)

    async def chunk(self, data: bytes) -> None:
        """Raises TimeoutError."""
        await self.flight.put(data)
        self.sent += 1

    def _send_chunk(self, data: bytes) -> None:
        raise NotImplementedError  # chunk() does it all
