"""ZeroMQ's own socket at `inproc://`, for clients in the daemon's process: an embedded mesh, tests.

Owns: the ROUTER socket and its clients' routing ids. Must never: listen where another process could connect.

The socket's file descriptor is edge-triggered: it is drained until `Again` on every wake-up, and looked at again after
every send, or messages would get stuck.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import zmq

from meshd.gateway.frontends.ipc import multipart, zmtp
from meshd.gateway.frontends.ipc.connections import UNREAD, Connection, Connections
from meshd.gateway.frontends.ipc.zmtp_connection import Receiver
from meshd.gateway.frontends.peer_identity import ourselves

_DRAIN_AT_ONCE = 256  # messages read before the loop turns to other work
_UNREAD_MESSAGES = 10_000  # unread messages to a connection, after which it counts as lost


class InprocConnection(Connection):
    """routing_id: the one that libzmq gave it."""

    def __init__(self, routing_id: bytes, socket: InprocSocket) -> None:
        super().__init__(ourselves())
        self.routing_id = routing_id
        self._socket = socket

    def send(self, frames: list[bytes]) -> str:
        return self._socket.send(self.routing_id, frames)

    def reads(self) -> bool:
        return False

    @property
    def stalled(self) -> bool:
        return False

    def stop_receiving(self) -> None:
        """The socket stops for all of them."""

    def close(self) -> None:
        self._socket.forget(self.routing_id)


class InprocSocket:
    def __init__(self, loop: asyncio.AbstractEventLoop, receiver: Receiver, connections: Connections) -> None:
        self.addresses: list[str] = []
        self._loop = loop
        self._receiver = receiver
        self._connections = connections
        self._by_id: dict[bytes, InprocConnection] = {}
        self._drain_scheduled = False
        self._receiving = True
        router: Any = zmq.Context.instance().socket(zmq.ROUTER)
        self._socket: Any = router
        router.set(zmq.LINGER, 500)
        router.set(zmq.ROUTER_MANDATORY, 1)  # a peer that has gone is an error, not silence
        router.set(zmq.SNDHWM, _UNREAD_MESSAGES)
        router.set(zmq.RCVHWM, 0)
        loop.add_reader(router.fileno(), self._drain)

    def bind(self, address: str) -> None:
        self._socket.bind(address)
        self.addresses.append(address)
        self._schedule_drain()  # a client may have sent before

    def stop_receiving(self) -> None:
        self._receiving = False
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())

    def close(self) -> None:
        if self._socket is None:
            return
        self.stop_receiving()
        for address in self.addresses:  # otherwise its name is freed only later
            self._socket.unbind(address)
        self._socket.close()
        self._socket = None

    def forget(self, routing_id: bytes) -> None:
        self._by_id.pop(routing_id, None)

    def send(self, routing_id: bytes, frames: list[bytes]) -> str:
        """As `Connection.send`."""
        if self._socket is None:  # closed during a stream
            return "the daemon is shutting down"
        try:
            multipart.send(self._socket, routing_id, frames)
        except zmq.ZMQError as error:
            if error.errno == zmq.EHOSTUNREACH:
                return "it closed its connection"
            return UNREAD if error.errno == zmq.EAGAIN else str(error)
        finally:
            # Sending, even if it fails, consumes the signal of messages that came in: the descriptor gives no
            # other.
            if self._socket is not None and multipart.readable(self._socket):
                self._schedule_drain()
        return ""

    def _schedule_drain(self) -> None:
        if not self._drain_scheduled:
            self._drain_scheduled = True
            self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        self._drain_scheduled = False
        for _ in range(_DRAIN_AT_ONCE):
            if self._socket is None or not self._receiving:
                return
            try:
                routing_id, frames = multipart.receive(self._socket)
            except zmq.Again:
                return
            connection = self._by_id.get(routing_id)
            if connection is None:
                connection = self._by_id[routing_id] = InprocConnection(routing_id, self)
                self._connections.add(connection)
            connection.seen = time.monotonic()
            self._receiver.receive(connection, zmtp.Incoming(frames))
        self._schedule_drain()
