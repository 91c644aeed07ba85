"""A client's connection over a UNIX socket, read and written in the router's loop.

Owns: the bytes of one connection, in both directions, within bounds.
Must never: know what a message means, or keep more of what a client does not read than `UNREAD_BYTES` and one message.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

from meshd.core.caller import Peer
from meshd.gateway.frontends.ipc import zmtp
from meshd.gateway.frontends.ipc.connections import Connection

FULL_BYTES = 1024**2
"""Sent and not read by the client, after which streams wait."""
UNREAD_BYTES = 8 * 1024**2
"""The same, after which any other message is one too many."""
_AT_ONCE = 64  # messages of one connection before others have their turn
_LINGER = 0.5  # s that a closed connection's last bytes have to leave


class Receiver(Protocol):
    """What a connection needs of the server."""

    def receive(self, connection: Connection, frames: list[bytes], discarded: int) -> None:
        """A message. discarded: bytes of frames that were too large to keep."""

    def has_room(self, connection: Connection) -> None:
        """The client has read what was sent: its streams continue."""

    def gone(self, connection: Connection, why: str) -> None:
        """Nothing more comes, and nothing can be sent."""


class ZmtpConnection(Connection, asyncio.Protocol):
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        caller: Peer,
        receiver: Receiver,
        bounds: Callable[[], zmtp.Bounds],
    ) -> None:
        super().__init__(caller)
        self._loop = loop
        self._receiver = receiver
        self._bounds = bounds
        self._waiting: deque[zmtp.Incoming] = deque()
        self._reads = True
        self._transport: asyncio.Transport | None = None  # before it is made, and when it is over
        self._peer: zmtp.Peer

    # -- asyncio's -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._transport.set_write_buffer_limits(high=FULL_BYTES)
        self._peer = zmtp.Peer(self._bounds, self._transport.write)
        if not self._reads:  # closed meanwhile
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self.seen = time.monotonic()
        try:
            self._waiting.extend(self._peer.receive(data))
        except zmtp.Violation as violation:
            self._abort()
            self._receiver.gone(self, f"it broke the protocol: {violation}")
        else:
            self._work()

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        self._receiver.has_room(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._waiting.clear()
        self._receiver.gone(self, "it closed its connection")

    # -- the server's --------------------------------------------------------------------------------

    def send(self, frames: list[bytes]) -> str:
        transport = self._transport
        if transport is None or transport.is_closing():
            return "it closed its connection"
        if not self._peer.ready:
            return ""
        if transport.get_write_buffer_size() > UNREAD_BYTES:
            self._abort()
            return "it does not read its messages"
        transport.write(self._peer.encode(frames))
        return ""

    def stop_receiving(self) -> None:
        self._reads = False
        self._waiting.clear()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def close(self) -> None:
        self.stop_receiving()
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.close()
            if transport.get_write_buffer_size():
                self._loop.call_later(_LINGER, transport.abort)

    def _abort(self) -> None:
        self.stop_receiving()
        if self._transport is not None:
            self._transport.abort()

    def _work(self) -> None:
        """Some messages now; the others when other connections had their turn."""
        for _ in range(min(_AT_ONCE, len(self._waiting))):
            if self._waiting:  # it may be lost by one of them
                message = self._waiting.popleft()
                self._receiver.receive(self, message.frames, message.discarded)
        transport = self._transport
        if transport is None or transport.is_closing() or not self._reads:
            return
        if self._waiting:
            transport.pause_reading()
            self._loop.call_soon(self._work)
        elif not transport.is_reading():
            transport.resume_reading()
