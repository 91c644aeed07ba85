"""The connections of clients, and how each is lost: it is closed, falls silent, or does not read.

Owns: the connections, each user's share of them, and their heartbeats.
Must never: read a message, or end a request (`server.py`).
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

from meshd.core.caller import Caller
from meshd.gateway.frontends.admission import Limits, Rights
from meshd.gateway.frontends.shares.fair_share import FairShare
from meshd.host.awake import ON_TIME
from modelmesh import protocol as wire

_SILENT = "it fell silent"
UNREAD = "it does not read its messages"
_STALLED = "it did not finish its message"


class Connection(ABC):
    """One client's connection. The caller belongs to the connection: nothing that a client sends changes it.

    seen, since: monotonic s. label, client: what the client says about itself. requests: ids of those in flight.
    greeted: it has sent a message, and has not fallen silent since. full: the client has much to read. held_back: it
    asks without reading the answers, so nothing more is read from it until it does. came_by: the further address that
    it uses, if any. leaves: why it is to be closed as soon as its requests have ended; "" if it is not.
    """

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.came_by: object = None
        self.leaves = ""
        self.seen = self.since = time.monotonic()
        self.label = ""
        self.client = ""
        self.greeted = False
        self.spoke = False  # it has ever sent a message
        self.full = False
        self.held_back = False
        self.requests: set[bytes] = set()
        self.rights = Rights()
        self.limits: Limits | None = None  # those of the configuration that its rights come from

    @abstractmethod
    def send(self, frames: list[bytes]) -> str:
        """Returns why the connection cannot be used any more, or ""."""

    @abstractmethod
    def reads(self) -> bool:
        """Whether it has read anything since this was last asked."""

    @property
    @abstractmethod
    def stalled(self) -> bool:
        """Whether it has begun a message and could send the rest."""

    def count_as(self, caller: Caller) -> None:
        """The other end has proved to be another caller, whose share the connection uses from now on."""
        self.caller = caller

    @abstractmethod
    def stop_receiving(self) -> None:
        """Read nothing more."""

    @abstractmethod
    def close(self) -> None:
        """What was sent has half a second to be delivered. Idempotent."""


class Connections:
    """lost: called with a connection that was lost, why, and whether it fell silent, after it was forgotten.
    heartbeat: seconds. places: for the connections of all users."""

    def __init__(self, lost: Callable[[Connection, str, bool], None], heartbeat: float, places: FairShare) -> None:
        self.known: set[Connection] = set()
        self._places = places
        self.heartbeat = heartbeat
        self._lost = lost
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._next_beat = 0.0  # monotonic s

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._schedule_beat(loop)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for connection in list(self.known):
            self._forget(connection)
            connection.close()

    def add(self, connection: Connection) -> None:
        self.known.add(connection)
        self._places.take(connection.caller.shares_as)

    def hand_over(self, connection: Connection, caller: Caller) -> str:
        """A connection now belongs to another caller; returns why that is not allowed, or ""."""
        places, user = self._places, caller.shares_as
        if not places.fits(user):
            return f"it has {places.of(user)} connections already"
        places.give(connection.caller.shares_as)
        places.take(user)
        connection.count_as(caller)
        return ""

    def leave(self, connection: Connection, why: str) -> None:
        """Lose it when its requests have ended."""
        if connection in self.known:
            connection.leaves = why
            self.leave_if_idle(connection)

    def leave_if_idle(self, connection: Connection) -> None:
        if connection.leaves and not connection.requests:
            self.lose(connection, connection.leaves)

    def lose(self, connection: Connection, why: str, *, silent: bool = False) -> None:
        if connection in self.known:
            self._forget(connection)
            self._lost(connection, why, silent)
            connection.close()

    def _beat(self) -> None:
        assert self._loop is not None
        now = time.monotonic()
        slept = now - self._next_beat
        self._schedule_beat(self._loop)
        if slept > ON_TIME:  # messages that came during the sleep have not been read yet
            for connection in self.known:
                connection.seen += slept
        oldest = now - self.heartbeat * wire.MISSED_HEARTBEATS
        for connection in [connection for connection in self.known if connection.seen < oldest]:
            if connection.reads():
                connection.seen = now
            elif not connection.spoke:
                self.lose(connection, _SILENT, silent=True)
            elif connection.held_back:
                self.lose(connection, UNREAD)
            elif connection.stalled:
                self.lose(connection, _STALLED)
            elif connection.greeted:
                # It stays open: a process that was stopped may continue, and what it sends then must not be lost.
                connection.greeted = False
                self._lost(connection, _SILENT, True)

    def _schedule_beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._next_beat = time.monotonic() + self.heartbeat
        self._timer = loop.call_later(self.heartbeat, self._beat)

    def _forget(self, connection: Connection) -> None:
        self.known.discard(connection)
        self._places.give(connection.caller.shares_as)
