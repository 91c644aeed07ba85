"""One zmq socket that dials one daemon once.

Owns: the DEALER socket, its monitor, what is known about the daemon, and the zmq context of the process.
Must never: block, redial (its owner opens another link), or know what a request means.

A link is never repaired: libzmq's own reconnection would send queued messages before a HELLO, and repeat what is resent
on purpose. So `RECONNECT_IVL` is set to a very long time (with 0 or -1 libzmq would drop messages that were received
but not read yet), and a lost link is replaced by a new one.
"""

from __future__ import annotations

import itertools
import os
import struct
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import zmq
from zmq.backend import Socket as _Socket

from modelmesh.embedded import is_embedded
from modelmesh.protocol import HEARTBEAT_SECONDS, HELLO, HelloHead, WelcomeHead, encode
from modelmesh.version import CLIENT

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


class Link:
    """A dialled socket. `greet` queues HELLO on it before anything else can be sent."""

    __slots__ = (
        "_monitor",
        "closed",
        "connected",
        "draining",
        "failed",
        "fd",
        "last_heard",
        "monitor_fd",
        "refused",
        "socket",
        "welcome",
    )

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], address: str, greeting: HelloHead) -> None:
        self.socket = context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, _LINGER_MS)
        self.socket.setsockopt(zmq.SNDHWM, 0)
        self.socket.setsockopt(zmq.RCVHWM, 0)
        self.socket.setsockopt(zmq.RECONNECT_IVL, _NEVER_MS)
        self._monitor: zmq.Socket[bytes] | None = None
        self.monitor_fd = -1
        self.connected = is_embedded(address)
        """Whether the zmq handshake is done, so that sent messages may have been read."""
        if not self.connected:
            endpoint = f"inproc://modelmesh-monitor-{os.getpid()}-{next(_monitor_numbers)}"
            self.socket.monitor(endpoint, _MONITORED)
            self._monitor = context.socket(zmq.PAIR)
            self._monitor.setsockopt(zmq.LINGER, 0)
            self._monitor.connect(endpoint)
            self.monitor_fd = int(self._monitor.getsockopt(zmq.FD))
        self.fd = int(self.socket.getsockopt(zmq.FD))
        self.welcome: WelcomeHead | None = None
        self.draining = False
        self.failed = False
        self.refused = False
        """Whether the daemon does not admit this client's key."""
        self.closed = False
        self.last_heard = time.monotonic()
        if address.startswith("tcp://"):
            self._secure(address)
        self.socket.connect(address)
        self.send(encode(HELLO, b"", greeting))

    def _secure(self, address: str) -> None:
        """Raises ZMQError."""
        from modelmesh.curve import CurveAddress

        if isinstance(address, CurveAddress):
            self.socket.setsockopt(zmq.CURVE_SERVERKEY, address.server)
            self.socket.setsockopt(zmq.CURVE_PUBLICKEY, address.public)
            self.socket.setsockopt(zmq.CURVE_SECRETKEY, address.secret)

    @property
    def instance(self) -> str:
        return self.welcome.instance if self.welcome is not None else ""

    @property
    def heartbeat(self) -> float:
        """Seconds between two PINGs."""
        if self.welcome is None or self.welcome.heartbeat_ms <= 0:
            return HEARTBEAT_SECONDS
        return self.welcome.heartbeat_ms / 1000

    def send(self, frames: list[bytes]) -> None:
        """Queue one message. There is no high-water mark, so only a closed peer (inproc) refuses it, which sets
        `failed`."""
        socket = self.socket
        last = len(frames) - 1
        try:
            for index, frame in enumerate(frames):
                _send(socket, frame, _SNDMORE_NOBLOCK if index < last else _NOBLOCK)
        except zmq.Again:
            self.failed = True

    def receive(self) -> list[bytes] | None:
        """The next message, None if there is none now. To be called until None before `fd` is polled."""
        socket = self.socket
        if not _get(socket, _EVENTS) & _POLLIN:
            return None
        frame = _receive(socket, _NOBLOCK, False)
        frames = [frame.bytes]
        while frame.more:
            frame = _receive(socket, _NOBLOCK, False)
            frames.append(frame.bytes)
        return frames

    def observe(self) -> None:
        """Read the monitor's events into `connected` and `failed`. Does nothing on a closed link."""
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
        """Close the socket at once; a failed link's unsent messages are dropped. Idempotent."""
        if self.closed:
            return
        self.closed = True
        linger = 0 if self.failed else None
        if self._monitor is not None:
            self.socket.disable_monitor()
            self._monitor.close(0)
        self.socket.close(linger)


_contexts: list[zmq.Context[zmq.Socket[bytes]]] = []
_of_the_parent: list[zmq.Context[zmq.Socket[bytes]]] = []
"""Contexts of the parent process after a fork; kept, as freeing them would touch its sockets."""


def context_for(address: str) -> zmq.Context[zmq.Socket[bytes]]:
    """The zmq context for an address: an embedded mesh needs the process-wide one."""
    if is_embedded(address):
        return zmq.Context.instance()
    if not _contexts:
        _contexts.append(zmq.Context())
    return _contexts[0]


def greeting() -> HelloHead:
    """What this process says about itself."""
    return HelloHead(client=CLIENT, process=os.path.basename(sys.argv[0]) if sys.argv else "")


def _leave_to_the_parent() -> None:
    _of_the_parent.extend(_contexts)
    _contexts.clear()


os.register_at_fork(after_in_child=_leave_to_the_parent)
