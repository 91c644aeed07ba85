"""A client's connection over a UNIX socket or TCP, read and written in the router's loop.

Owns: the bytes of one connection, in both directions, within bounds.
Must never: know what a message means, or read on while its user has taken its share of the room.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from meshd.core.caller import Caller
from meshd.gateway.frontends.ipc import zmtp
from meshd.gateway.frontends.ipc.connections import UNREAD, Connection
from meshd.gateway.frontends.shares.room import Room
from meshd.gateway.frontends.shares.turns import Turns
from meshd.gateway.frontends.socket_connection import SocketConnection

_PIECE = 16 * 1024  # bytes that are read at a time; of a long frame, as much as there is

# What is read into it is taken out before the next read.
_buffer = memoryview(bytearray(4 * _PIECE))


class Receiver(Protocol):
    """What a connection needs of the server."""

    def receive(self, connection: Connection, message: zmtp.Incoming) -> None:
        """A message of the client."""

    def has_room(self, connection: Connection) -> None:
        """The client has read what was sent: its streams continue."""

    def gone(self, connection: Connection, why: str) -> None:
        """Nothing more comes, and nothing can be sent."""

    def refused(self, connection: Connection, why: str) -> None:
        """Nothing more is read; what was sent, and is still to be answered, can be sent."""


class ZmtpConnection(SocketConnection, Connection, asyncio.BufferedProtocol):
    """bounds: those of its next message. fits: whether its user has room for that many more bytes."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        caller: Caller,
        receiver: Receiver,
        turns: Turns,
        room: Room,
        bounds: Callable[[Connection], zmtp.Bounds],
        fits: Callable[[Connection, int], bool],
    ) -> None:
        Connection.__init__(self, caller)
        SocketConnection.__init__(self, loop, caller.shares_as, turns, room)
        self._receiver = receiver
        self._bounds = bounds
        self._has_room = fits
        self._direct = False  # bytes are now read straight into a message
        self._peer: zmtp.Peer

    # -- asyncio's -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._peer = zmtp.Peer(lambda: self._bounds(self), self._reply, self._take, self._secured())

    def _secured(self) -> zmtp.Session | None:
        """Its session of CURVE, if it has one."""
        return None

    def get_buffer(self, sizehint: int) -> memoryview:
        found = self._peer.missing()
        self._direct = found is not None
        return found if found is not None else _buffer if self._peer.discards else _buffer[:_PIECE]

    def buffer_updated(self, nbytes: int) -> None:
        if self._peer.ready:  # until then, a few bytes now and then count as silence
            self.seen = time.monotonic()
        if self._direct:
            self._peer.filled(nbytes)
        else:
            self._peer.receive(bytes(_buffer[:nbytes]))
        self._proceed()

    def _has_read(self) -> None:
        self.seen = time.monotonic()
        self._receiver.has_room(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        self._transport = None
        self._receiver.gone(self, "it closed its connection")

    # -- the server's --------------------------------------------------------------------------------

    def send(self, frames: list[bytes]) -> str:
        transport = self._transport
        if transport is None or transport.is_closing():
            return "it closed its connection"
        if not self._peer.ready:
            return ""
        return "" if self._leave(frames) else UNREAD

    def _leave(self, frames: list[bytes]) -> bool:
        """As `_gather`."""
        return self._gather(self._peer.encode(frames), more=bool(self.requests))

    def count_as(self, caller: Caller) -> None:
        held, user = self._peer.held + self._unread, caller.shares_as
        self._room.take(user, held)
        self._room.give(self.user, held)
        self.caller, self.user = caller, user

    def reads(self) -> bool:
        before = self._unread
        if before and self._transport is not None:
            self._hold_unread(self._transport.get_write_buffer_size())
        return self._unread < before

    @property
    def stalled(self) -> bool:
        """It has begun a message and could send the rest."""
        waits = self._queued or self._peer.waits or bool(self._peer.opening)
        return self._peer.begun and self._looks and not waits

    @property
    def _looks(self) -> bool:
        """Whether what it sends is read and looked at."""
        return self._reads and not self.held_back

    def _ended(self) -> None:
        peer = getattr(self, "_peer", None)
        if peer is not None:
            self._room.give(self.user, peer.held)
            peer.drop()  # connection and peer refer to each other, so they are freed late

    # -- reading --------------------------------------------------------------------------------------

    def _take_turn(self) -> bool:
        """For one message or command."""
        if self._looks:
            try:
                message = self._peer.next()
            except zmtp.Refused as refused:
                self.stop_receiving()
                self._receiver.refused(self, str(refused))
            except zmtp.Violation as violation:
                self.abort()
                self._receiver.gone(self, f"it broke the protocol: {violation}")
            else:
                if message is not None:
                    if message.held:
                        self._room.give(self.user, message.held)
                    self._receiver.receive(self, message)
                elif self._peer.waits and self._patience is None:
                    self._wait_for_room()
        self._queued = self._looks and self._peer.pending
        if not self._queued:
            self._read_or_pause()
        return self._queued

    @property
    def _takes_more(self) -> bool:
        return self._looks and not self._queued and not self._peer.waits and not self._peer.opening

    # -- room -----------------------------------------------------------------------------------------

    def _fits(self, size: int) -> bool:
        return self._has_room(self, size)

    def _take(self, size: int) -> bool:
        if not self._fits(size):
            return False
        self._room.take(self.user, size)
        return True

    def try_again(self) -> bool:
        if self._peer.waits:
            self._take_turn()
        if self._peer.waits:
            return True
        self._stop_waiting()
        if self._queued:
            self._turns.ready(self.user, self._take_turn)
        return False

    def _lose_patience(self) -> None:
        self._stop_waiting()
        self._peer.stop_waiting()
        self._proceed()

    def _reply(self, data: bytes) -> None:
        """Send a message of the protocol itself, after whatever was sealed before: CURVE's messages are numbered."""
        self._write()
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.write(data)
            self.held_back = self.held_back or self.full
