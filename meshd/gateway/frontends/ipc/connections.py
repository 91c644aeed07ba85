"""The connections to the socket, and how each is lost: it is closed, falls silent, or its process ends.

Owns: the connections, their heartbeats and the descriptors of their processes.
Must never: send or read a message, or end a request (`server.py`).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import zmq

from meshd.core.caller import Peer
from meshd.gateway.frontends.peer_identity import OURSELVES_ADDRESS, identify
from meshd.host import descriptors
from meshd.host.awake import ON_TIME
from modelmesh import protocol as wire

SILENT = "it fell silent"


@dataclass(slots=True, eq=False)
class Connection:
    """`identity` is the routing id that libzmq gave it, which no client can forge: ids that begin with a
    zero byte are reserved for libzmq, and clients that choose their own id are refused. requests: ids of those in
    flight."""

    identity: bytes
    caller: Peer
    seen: float  # monotonic s
    since: float  # monotonic s
    label: str = ""
    client: str = ""
    requests: set[bytes] = field(default_factory=set)
    pidfd: int = -1


class Connections:
    """lost: called with a connection that was lost, and why, after it was forgotten. heartbeat: seconds."""

    def __init__(self, lost: Callable[[Connection, str], None], heartbeat: float) -> None:
        self.known: dict[bytes, Connection] = {}
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
        for connection in list(self.known.values()):
            self._forget(connection)

    def meet(self, identity: bytes, first: zmq.Frame) -> Connection:
        """Create a connection. It is not kept if it chose its own routing id."""
        now = time.monotonic()
        connection = Connection(identity, identify(peer_address(first)), now, now)
        if identity[:1] == b"\0":
            self.known[identity] = connection
            self._watch_process(connection)
        return connection

    def lose(self, connection: Connection, why: str) -> None:
        if self.known.get(connection.identity) is connection:
            self._forget(connection)
            self._lost(connection, why)

    def _watch_process(self, connection: Connection) -> None:
        """Notice the process's end at once, rather than after three missed heartbeats."""
        if (
            connection.caller.pid in (0, os.getpid())
            or self._loop is None
            or not descriptors.left(descriptors.reserve())
        ):
            return
        try:
            connection.pidfd = os.pidfd_open(connection.caller.pid)
        except OSError:  # it has ended already, or is in another pid namespace
            return
        self._loop.add_reader(connection.pidfd, self.lose, connection, "its process ended")

    def _beat(self) -> None:
        assert self._loop is not None
        now = time.monotonic()
        slept = now - self._next_beat
        self._schedule_beat(self._loop)
        if slept > ON_TIME:  # messages that came during the sleep have not been read yet
            for connection in self.known.values():
                connection.seen += slept
        oldest = now - self.heartbeat * wire.MISSED_HEARTBEATS
        for connection in [connection for connection in self.known.values() if connection.seen < oldest]:
            self.lose(connection, SILENT)

    def _schedule_beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._next_beat = time.monotonic() + self.heartbeat
        self._timer = loop.call_later(self.heartbeat, self._beat)

    def _forget(self, connection: Connection) -> None:
        self.known.pop(connection.identity, None)
        if connection.pidfd >= 0 and self._loop is not None:
            self._loop.remove_reader(connection.pidfd)
            os.close(connection.pidfd)
            connection.pidfd = -1


def peer_address(frame: zmq.Frame) -> str:
    """What the kernel says about the sender. Only inproc:// has no ZMTP handshake, and so no address. A peer with a
    handshake but without credentials is unknown; it is not this process."""
    try:
        return str(frame.get("Peer-Address"))
    except zmq.ZMQError:
        pass
    try:
        frame.get("Socket-Type")
    except zmq.ZMQError:
        return OURSELVES_ADDRESS
    return "unknown"
