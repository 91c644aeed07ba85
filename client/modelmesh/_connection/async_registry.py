"""Which connections the event loops of this process have, and which clients use them.

Owns: the connections by loop and address; the last client of one closes it.
Must never: let a process use what its parent opened before a fork.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Sequence

from modelmesh._connection.async_connection import AsyncConnection
from modelmesh._connection.departures import DRAIN_SLACK_SECONDS
from modelmesh._connection.pending_call import client_closed

_lock = threading.Lock()
_connections: dict[tuple[int, str, float], AsyncConnection] = {}


def acquire(address: str, drain_slack: float = DRAIN_SLACK_SECONDS) -> AsyncConnection:
    """The running loop's connection to an address, for one more client."""
    loop = asyncio.get_running_loop()
    key = (id(loop), address, drain_slack)
    with _lock:  # loops of other threads have connections of their own
        stale = {key: connection for key, connection in _connections.items() if connection.loop.is_closed()}
        for closed in stale:  # each is closed by one thread
            del _connections[closed]
    for connection in stale.values():
        connection.close()
    found = _connections.get(key)
    if found is None:
        found = AsyncConnection(address, drain_slack, loop)
        with _lock:
            _connections[key] = found
    found.users += 1
    return found


def release(connection: AsyncConnection) -> None:
    """One client fewer."""
    connection.users -= 1
    if connection.users <= 0 and not connection.closed:
        key = id(connection.loop), connection.address, connection.drain_slack
        with _lock:
            if _connections.get(key) is connection:
                del _connections[key]
        connection.close()


def release_soon(connection: AsyncConnection) -> None:
    """As `release`, from a finalizer, or from another loop."""
    if not connection.loop.is_closed():
        connection.loop.call_soon_threadsafe(release, connection)


def open_connections() -> Sequence[AsyncConnection]:
    """Those that a client uses, or that a loop has left behind."""
    return list(_connections.values())


def _forget_parent() -> None:
    global _lock
    _lock = threading.Lock()
    for connection in open_connections():
        connection.abandon()
    _connections.clear()


os.register_at_fork(after_in_child=_forget_parent)


class AsyncConnectionHandle:
    """A client's connections, one per event loop that uses it; copies of the client share them. find: the daemon's
    address."""

    def __init__(self, find: Callable[[], str], drain_slack: float) -> None:
        self._find = find
        self._drain_slack = drain_slack
        self._connections: dict[int, AsyncConnection] = {}
        self._lock = threading.RLock()
        self.closed = False

    def connection(self) -> AsyncConnection:
        """The running loop's connection, opened if needed. Raises DaemonUnavailableError."""
        loop = asyncio.get_running_loop()
        connection = self._connections.get(id(loop))
        if connection is not None and not connection.closed and connection.loop is loop:
            return connection
        address = self._find()
        with self._lock:
            if self.closed:
                raise client_closed()
            for key, other in list(self._connections.items()):
                if other.closed or other.loop.is_closed():
                    del self._connections[key]
            connection = self._connections[id(loop)] = acquire(address, self._drain_slack)
        return connection

    def close(self) -> None:
        with self._lock:
            self.closed = True
            connections, self._connections = list(self._connections.values()), {}
        here = asyncio.get_running_loop()
        for connection in connections:
            if not connection.closed:
                (release if connection.loop is here else release_soon)(connection)

    def __del__(self) -> None:
        for connection in getattr(self, "_connections", {}).values():
            if not connection.closed:
                release_soon(connection)
