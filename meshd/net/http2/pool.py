"""The connections to a server that may speak HTTP/2: a request shares one while it has room.

Must never: open more connections than the waiting requests need.
"""

from __future__ import annotations

import asyncio
from collections import deque

from meshd.net.connections.pool import Open, Pool, queued
from meshd.net.failures import Disconnected
from meshd.net.http1 import HttpConnection
from meshd.net.http2.connection import UNTOLD, Http2Connection
from meshd.net.http2.negotiated import Negotiated
from meshd.net.seam import Connection


class Waiter:
    """given: the connection, and whether it was just opened. fresh: wants a new one, unless no more may be opened."""

    def __init__(self, given: asyncio.Future[tuple[Connection, bool]], fresh: bool) -> None:
        self.given = given
        self.fresh = fresh


class SharedPool(Pool):
    """Like its base class, for connections that take several exchanges at once if their server speaks HTTP/2."""

    def __init__(self, open: Open, most: int, keepalive: float) -> None:
        super().__init__(open, most, keepalive)
        self._exchanges: dict[Connection, int] = {}  # open connections, the oldest first → exchanges in progress
        self._opening: set[asyncio.Task[None]] = set()
        self._queue: deque[Waiter] = deque()
        self._each = UNTOLD  # exchanges that a new connection will take

    async def take(self, *, fresh: bool = False) -> tuple[Connection, bool]:
        if self._closed:
            raise Disconnected
        if not fresh:
            for connection in self._exchanges:
                if self._has_room(connection):
                    return self._give(connection), False
        waiter = Waiter(self.loop.create_future(), fresh)
        self._queue.append(waiter)
        self._serve()
        queued.set(len(self._queue) > len(self._opening) * self._each)
        try:
            given = await waiter.given
        except asyncio.CancelledError:
            if waiter.given.done() and not waiter.given.cancelled() and waiter.given.exception() is None:
                self._freed(waiter.given.result()[0])
            raise
        finally:
            if waiter in self._queue:
                self._queue.remove(waiter)
        queued.set(False)  # a cancelled request stays marked, since it was still waiting
        return given

    def close(self) -> None:
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for task in self._opening:
            task.cancel()
        for connection in list(self._exchanges):
            connection.close()
        for waiter in self._queue:
            waiter.given.cancel()

    # -- give ------------------------------------------------------------------------------------------

    def _has_room(self, connection: Connection) -> bool:
        return connection.usable and self._exchanges[connection] < connection.most

    def _give(self, connection: Connection) -> Connection:
        self._exchanges[connection] += 1
        if connection in self._idle:
            self._idle.remove(connection)
        return connection

    def _next(self, fresh: bool) -> Waiter | None:
        """The first waiter. fresh: including those that want a new connection."""
        for waiter in list(self._queue):
            if waiter.given.done():
                self._queue.remove(waiter)
            elif fresh or not waiter.fresh:
                self._queue.remove(waiter)
                return waiter
        return None

    def _fill(self, connection: Connection, *, opened: bool, fresh: bool) -> None:
        while self._has_room(connection) and (waiter := self._next(fresh)) is not None:
            waiter.given.set_result((self._give(connection), opened))

    def _serve(self) -> None:
        """Give waiters the connections that have room, and open new ones for the rest."""
        if not self._queue or self._closed:
            return
        for connection in list(self._exchanges):
            self._fill(connection, opened=False, fresh=False)
        while len(self._queue) > len(self._opening) * self._each:
            if len(self._exchanges) + len(self._opening) >= self._most and not self._close_idle():
                break
            self._opening.add(self.loop.create_task(self._open_one()))
        if self._queue and not self._opening:
            for connection in list(self._exchanges):
                self._fill(connection, opened=False, fresh=True)

    # -- connections -----------------------------------------------------------------------------------

    async def _open_one(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "it is one of its own"
        negotiated = Negotiated(self.loop, self._made)
        try:
            await self._open(negotiated)
            connection = negotiated.connection
            if connection is None or not connection.usable:
                raise Disconnected
        except Exception as error:
            self._opening.discard(task)
            self._refuse(error)
            self._serve()
            return
        finally:
            self._opening.discard(task)
        if self._closed:
            connection.close()
            return
        self._exchanges[connection] = 0
        self._each = connection.most
        self._fill(connection, opened=True, fresh=True)
        if not self._exchanges[connection]:
            self._rest(connection)
        self._serve()

    def _made(self, http2: bool) -> HttpConnection | Http2Connection:
        if http2:
            return Http2Connection(self.loop, self._freed, self._changed, self._lost, self._each)
        return HttpConnection(self.loop, self._freed, self._lost)

    def _refuse(self, error: Exception) -> None:
        """No connection was made: the waiters that would have got it fail."""
        for _ in range(self._each):
            if (waiter := self._next(fresh=True)) is None:
                break
            waiter.given.set_exception(error)

    def _changed(self, connection: Connection) -> None:
        if connection in self._exchanges:
            self._each = max(connection.most, 1)
            self._serve()

    def _freed(self, connection: Connection) -> None:
        if connection not in self._exchanges:
            return
        self._exchanges[connection] -= 1
        self._serve()
        if connection in self._exchanges and not self._exchanges[connection]:
            self._rest(connection)

    def _lost(self, connection: Connection) -> None:
        if self._exchanges.pop(connection, None) is not None:
            if connection in self._idle:
                self._idle.remove(connection)
            self._serve()

    def _rest(self, connection: Connection) -> None:
        if self._closed:
            connection.close()
            return
        connection.idle_since = self.loop.time()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = self.loop.call_later(self._keepalive, self._close_old)
