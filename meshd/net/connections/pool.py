"""The connections to one server: which are idle, how many there may be, and which requests wait for one.

Must never: open one itself, or give one to two requests.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable

from meshd.net.http1 import HttpConnection
from meshd.net.seam import Connection, Opening

queued: contextvars.ContextVar[bool] = contextvars.ContextVar("connection_queued", default=False)
"""Whether this request waits for a connection because all are in use."""

Open = Callable[[Opening], Awaitable[None]]


class Pool:
    """open: connects a connection. most: connections. keepalive: seconds that one may be idle."""

    def __init__(self, open: Open, most: int, keepalive: float) -> None:
        self._open = open
        self._most = most
        self._keepalive = keepalive
        self.loop = asyncio.get_running_loop()
        self._idle: list[Connection] = []  # the longest idle first
        self._all: set[Connection] = set()  # also those that are being opened
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    async def take(self, *, fresh: bool = False) -> tuple[Connection, bool]:
        """A connection for one exchange, and whether it was just opened. fresh: it has to be a new one."""
        if not fresh:
            while self._idle:
                connection = self._idle.pop()
                if connection.usable:
                    return connection, False
        while len(self._all) >= self._most and not self._close_idle():
            given = await self._wait()
            if given is not None and not (fresh or not given.usable):
                return given, False
            if given is not None:
                given.close()
        return await self._opened(), True

    def close(self) -> None:
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in list(self._all):
            connection.close()
        for waiter in self._waiting:
            waiter.cancel()

    async def _opened(self) -> HttpConnection:
        connection = HttpConnection(self.loop, self._freed, self._lost)
        self._all.add(connection)
        try:
            await self._open(connection)
        except BaseException:
            self._lost(connection)
            raise
        if self._closed:
            connection.close()
        return connection

    def _close_idle(self) -> bool:
        """Make room for a new connection."""
        while self._idle:
            connection = self._idle.pop(0)
            self._all.discard(connection)
            connection.abort()
            return True
        return False

    async def _wait(self) -> Connection | None:
        """A connection that another request no longer needs; None: there may be room for a new one."""
        waiter: asyncio.Future[Connection | None] = self.loop.create_future()
        self._waiting.append(waiter)
        queued.set(True)
        try:
            given = await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():  # its connection goes to the next waiter
                connection = waiter.result()
                if connection is None:
                    self._wake(None)
                else:
                    self._freed(connection)
            raise
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
        queued.set(False)  # a cancelled request stays marked, since it was still waiting
        return given

    def _wake(self, connection: Connection | None) -> bool:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False

    def _freed(self, connection: Connection) -> None:
        if self._closed:
            connection.close()
        elif not connection.usable:
            self._lost(connection)
        elif not self._wake(connection):
            connection.idle_since = self.loop.time()
            self._idle.append(connection)
            if self._sweep is None:
                self._sweep = self.loop.call_later(self._keepalive, self._close_old)

    def _lost(self, connection: Connection) -> None:
        if connection in self._all:
            self._all.discard(connection)
            if connection in self._idle:
                self._idle.remove(connection)
            self._wake(None)

    def _close_old(self) -> None:
        self._sweep = None
        oldest = self.loop.time() - self._keepalive
        while self._idle and self._idle[0].idle_since <= oldest:
            self._idle.pop(0).close()
        if self._idle:
            self._sweep = self.loop.call_later(self._idle[0].idle_since - oldest, self._close_old)
