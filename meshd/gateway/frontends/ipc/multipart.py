"""Multipart messages to and from a ZeroMQ socket, in as few steps as pyzmq allows.

Owns: sending and receiving the frames of one message. Must never: know what they mean, or wait.

pyzmq's own `send_multipart` and `recv_multipart` combine flags as enums for every frame, and use an enum to ask the
socket whether there is another frame: several microseconds per message, in every request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import zmq
from zmq.backend import Socket as _Socket

_LAST: Final = int(zmq.NOBLOCK)
_MORE: Final = int(zmq.SNDMORE | zmq.NOBLOCK)
_EVENTS: Final = int(zmq.EVENTS)
_POLLIN: Final = int(zmq.POLLIN)

# pyzmq's wrappers check frames and flags again; here they are bytes and integers.
_send = _Socket.send
_receive = _Socket.recv
_get: Final[Callable[[Any, int], Any]] = _Socket.get


def send(socket: zmq.Socket[bytes], identity: bytes, frames: list[bytes]) -> None:
    """Raises zmq.ZMQError: EHOSTUNREACH, the peer has gone; EAGAIN, the peer does not read its messages."""
    *others, last = frames
    _send(socket, identity, _MORE)
    for frame in others:
        _send(socket, frame, _MORE)
    _send(socket, last, _LAST)


def receive(socket: zmq.Socket[bytes]) -> tuple[bytes, list[bytes]]:
    """The next message: the first frame, which is the sender's routing id, and the others. Raises zmq.Again if there is
    none."""
    frame = first = _receive(socket, _LAST, False)
    frames: list[bytes] = []
    while frame.more:
        frame = _receive(socket, _LAST, False)
        frames.append(frame.bytes)
    return first.bytes, frames


def readable(socket: zmq.Socket[bytes]) -> bool:
    return bool(_get(socket, _EVENTS) & _POLLIN)
