"""A link over a zmq socket.

Owns: the DEALER socket, its monitor, and the zmq context of the process.

libzmq's own reconnection would send queued messages before a HELLO, and repeat what is resent on purpose. So
`RECONNECT_IVL` is set to a very long time (with 0 or -1 libzmq would drop messages that were received but not
read yet).
"""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Callable
from typing import Any, Final

import zmq
from zmq.backend import Socket as _Socket

from modelmesh._connection.links.link import Link
from modelmesh.embedded import is_embedded

_NEVER_MS: Final = 24 * 3600 * 1000
_LINGER_MS: Final = 100
_MONITORED: Final = int(
    zmq.Event.HANDSHAKE_SUCCEEDED
    | zmq.Event.DISCONNECTED
    | zmq.Event.CLOSED
    | zmq.Event.HANDSHAKE_FAILED_NO_DETAIL
    | zmq.Event.HANDSHAKE_FAILED_PROTOCOL
    | zmq.Event.HANDSHAKE_FAILED_AUTH
)
# The backend's own methods take a third of the time of pyzmq's wrappers, in every request.
_send = _Socket.send
_receive = _Socket.recv
_get: Final[Callable[[Any, int], Any]] = _Socket.get
_EVENTS: Final = int(zmq.EVENTS)
_POLLIN: Final = int(zmq.POLLIN)
_NOBLOCK: Final = int(zmq.NOBLOCK)
_SNDMORE_NOBLOCK: Final = int(zmq.SNDMORE | zmq.NOBLOCK)

_monitor_numbers = itertools.count()


class ZmqLink(Link):
    """A dialled DEALER socket, for tcp with CURVE and for an embedded mesh."""

    __slots__ = ("_monitor", "_socket")

    def __init__(self, address: str) -> None:
        """Raises OSError."""
        super().__init__()
        context = _context_for(address)
        self._socket = context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, _LINGER_MS)
        self._socket.setsockopt(zmq.SNDHWM, 0)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        self._socket.setsockopt(zmq.RECONNECT_IVL, _NEVER_MS)
        self._monitor: zmq.Socket[bytes] | None = None
        self.connected = is_embedded(address)
        if not self.connected:
            endpoint = f"inproc://modelmesh-monitor-{os.getpid()}-{next(_monitor_numbers)}"
            self._socket.monitor(endpoint, _MONITORED)
            self._monitor = context.socket(zmq.PAIR)
            self._monitor.setsockopt(zmq.LINGER, 0)
            self._monitor.connect(endpoint)
            self.monitor_fd = int(self._monitor.getsockopt(zmq.FD))
        self.fd = int(self._socket.getsockopt(zmq.FD))
        try:
            if address.startswith("tcp://"):
                self._secure(address)
            self._socket.connect(address)
        except zmq.ZMQError as error:
            self.failed = True
            self.close()
            raise OSError(error.errno, str(error)) from None

    def _secure(self, address: str) -> None:
        """Raises ZMQError."""
        from modelmesh.curve import CurveAddress

        if isinstance(address, CurveAddress):
            self._socket.setsockopt(zmq.CURVE_SERVERKEY, address.server)
            self._socket.setsockopt(zmq.CURVE_PUBLICKEY, address.public)
            self._socket.setsockopt(zmq.CURVE_SECRETKEY, address.secret)

    def send(self, frames: list[bytes]) -> None:
        """There is no high-water mark, so only a closed peer (inproc) refuses a message."""
        socket = self._socket
        last = len(frames) - 1
        try:
            for index, frame in enumerate(frames):
                _send(socket, frame, _SNDMORE_NOBLOCK if index < last else _NOBLOCK)
        except zmq.Again:
            self.failed = True

    def receive(self) -> list[bytes] | None:
        socket = self._socket
        if not _get(socket, _EVENTS) & _POLLIN:
            return None
        frame = _receive(socket, _NOBLOCK, False)
        frames = [frame.bytes]
        while frame.more:
            frame = _receive(socket, _NOBLOCK, False)
            frames.append(frame.bytes)
        return frames

    def observe(self) -> None:
        monitor = self._monitor
        if monitor is None or self.closed:
            return
        while True:
            try:
                frames = monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            event = struct.unpack_from("=h", frames[0])[0]
            if event == zmq.Event.HANDSHAKE_SUCCEEDED:
                self.connected = True
            else:
                self.failed = True
                self.refused = self.refused or event == zmq.Event.HANDSHAKE_FAILED_AUTH

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        linger = 0 if self.failed else None
        if self._monitor is not None:
            self._socket.disable_monitor()
            self._monitor.close(0)
        self._socket.close(linger)


_contexts: list[zmq.Context[zmq.Socket[bytes]]] = []
_of_the_parent: list[zmq.Context[zmq.Socket[bytes]]] = []
"""Contexts of the parent process after a fork; kept, as freeing them would touch its sockets."""


def _context_for(address: str) -> zmq.Context[zmq.Socket[bytes]]:
    """The zmq context for an address: an embedded mesh needs the process-wide one."""
    if is_embedded(address):
        return zmq.Context.instance()
    if not _contexts:
        _contexts.append(zmq.Context())
    return _contexts[0]


def _leave_to_the_parent() -> None:
    _of_the_parent.extend(_contexts)
    _contexts.clear()


os.register_at_fork(after_in_child=_leave_to_the_parent)
