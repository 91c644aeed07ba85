"""Which connections this process has, and which clients use them.

Owns: the connections by address; the last client of one closes it.
Must never: let a process use what its parent opened before a fork.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from functools import partial

from modelmesh._connection import background
from modelmesh._connection.connection import Connection
from modelmesh._connection.departures import DRAIN_SLACK_SECONDS
from modelmesh._connection.pending_call import client_closed

_lock = threading.RLock()
_connections: dict[tuple[str, float], Connection] = {}


def acquire(address: str, drain_slack: float = DRAIN_SLACK_SECONDS) -> Connection:
    """The process's connection to an address, for one more client."""
    with _lock:
        connection = _connections.get((address, drain_slack))
        if connection is None:
            connection = _connections[address, drain_slack] = Connection(address, drain_slack)
            background.keep_alive(connection)
        connection.users += 1
    return connection


def release(connection: Connection) -> None:
    """One client fewer."""
    with _lock:
        connection.users -= 1
        if connection.users > 0 or connection.closed:
            return
        key = connection.address, connection.drain_slack
        if _connections.get(key) is connection:
            del _connections[key]
    connection.close()


def open_connections() -> Sequence[Connection]:
    """Those that a client uses."""
    return list(_connections.values())


def _forget_parent() -> None:
    global _lock
    _lock = threading.RLock()
    for connection in open_connections():
        connection.abandon()
    _connections.clear()


os.register_at_fork(after_in_child=_forget_parent)


class ConnectionHandle:
    """A client's use of the process's connection; copies of the client share it. find: the daemon's address."""

    def __init__(self, find: Callable[[], str], drain_slack: float) -> None:
        self._find = find
        self._drain_slack = drain_slack
        self._connection: Connection | None = None
        self._lock = threading.RLock()  # a signal handler may use it as well
        self.closed = False

    def connection(self) -> Connection:
        """The connection, opened if needed (again after a fork). Raises DaemonUnavailableError."""
        connection = self._connection
        if connection is not None and not connection.closed:
            return connection.for_new_call()
        with self._lock:
            if self.closed:
                raise client_closed()
            if self._connection is None or self._connection.closed:
                self._connection = acquire(self._find(), self._drain_slack)
            return self._connection.for_new_call()

    def close(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
            self.closed = True
        if connection is not None and not connection.closed:
            release(connection)

    def __del__(self) -> None:
        connection = getattr(self, "_connection", None)
        if connection is not None and not connection.closed:
            background.later(partial(release, connection))
