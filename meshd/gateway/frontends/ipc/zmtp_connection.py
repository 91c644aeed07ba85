"""A client's connection over a UNIX socket, read and written in the router's loop.

Owns: the bytes of one connection, in both directions, within bounds.
Must never: know what a message means, or read on while its user has taken its share of the room.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol, cast

from meshd.core.caller import Peer
from meshd.gateway.frontends.ipc import zmtp
from meshd.gateway.frontends.ipc.connections import UNREAD, Connection
from meshd.gateway.frontends.room import Room
from meshd.gateway.frontends.turns import Turns

FULL_BYTES = 16 * 1024
"""Sent and not read by the client, after which streams wait, and what is unread takes room."""
UNREAD_BYTES = 2 * 1024**2
"""The same, after which nothing more is read from the client until it has read."""
ROOM_PATIENCE = 5.0
"""Seconds that a message waits for room, before it is read and refused."""
_PIECE = 16 * 1024  # bytes that are read at a time; of a long frame, as much as there is
_LINGER = 0.5  # s that a closed connection's last bytes have to leave


# What is read into it is taken out before anything else is read.
_buffer = memoryview(bytearray(16 * _PIECE))


class Receiver(Protocol):
    """What a connection needs of the server."""

    def receive(self, connection: Connection, message: zmtp.Incoming) -> None:
        """A message of the client."""

    def has_room(self, connection: Connection) -> None:
        """The client has read what was sent: its streams continue."""

    def gone(self, connection: Connection, why: str) -> None:
        """Nothing more comes, and nothing can be sent."""


class ZmtpConnection(Connection, asyncio.BufferedProtocol):
    """bounds: of its next message. fits: whether there is room for so many bytes of its user."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        caller: Peer,
        receiver: Receiver,
        turns: Turns,
        room: Room,
        bounds: Callable[[Connection], zmtp.Bounds],
        fits: Callable[[Connection, int], bool],
    ) -> None:
        super().__init__(caller)
        self.user = caller.uid
        self._loop = loop
        self._receiver = receiver
        self._turns = turns
        self._room = room
        self._bounds = bounds
        self._fits = fits
        self._queued = False  # for its turn
        self._direct = False  # what is read now goes into a message
        self._reads = True
        self._unread = 0  # bytes of room that unread messages take
        self._leaving: list[bytes] = []  # messages that are written together
        self._leaving_size = 0
        self._patience: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None  # before it is made, and when it is over
        self._peer: zmtp.Peer

    # -- asyncio's -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._transport.set_write_buffer_limits(high=FULL_BYTES)
        self._peer = zmtp.Peer(lambda: self._bounds(self), self._reply, self._take)
        if not self._reads:  # closed before it was made
            self._transport.abort()

    def get_buffer(self, sizehint: int) -> memoryview:
        found = self._peer.missing()
        self._direct = found is not None
        return found if found is not None else _buffer if self._peer.discards else _buffer[:_PIECE]

    def buffer_updated(self, nbytes: int) -> None:
        if self._peer.ready:  # until then, a few bytes now and then are silence
            self.seen = time.monotonic()
        if self._direct:
            self._peer.filled(nbytes)
        else:
            self._peer.receive(bytes(_buffer[:nbytes]))
        self._proceed()

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        self._hold_unread(0)
        self.seen = time.monotonic()
        self._receiver.has_room(self)
        if self.held_back:
            self.held_back = False
            self._proceed()

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
        data = self._peer.encode(frames)
        if (self.full or len(data) > UNREAD_BYTES) and not self._fits(self, 1):
            self._abort()
            return UNREAD
        self._leaving.append(data)
        self._leaving_size += len(data)
        if not self.requests or self._leaving_size > FULL_BYTES:  # nothing follows soon, or enough has come together
            self._write()
        elif len(self._leaving) == 1:
            self._loop.call_soon(self._write)
        return ""

    def _write(self) -> None:
        """Each write wakes the client up, so that what is sent in one turn of the loop leaves together."""
        leaving, self._leaving, self._leaving_size = self._leaving, [], 0
        transport = self._transport
        if not leaving or transport is None or transport.is_closing():
            return
        transport.writelines(leaving)
        if self.full:
            self._hold_unread(transport.get_write_buffer_size())
            if self._unread > UNREAD_BYTES:
                self.held_back = True
                self._read_or_pause()

    def reads(self) -> bool:
        before = self._unread
        if before and self._transport is not None:
            self._hold_unread(self._transport.get_write_buffer_size())
        return self._unread < before

    @property
    def stalled(self) -> bool:
        """It has begun a message and could send the rest."""
        return self._peer.begun and self._looks and not self._queued and not self._peer.waits

    @property
    def _looks(self) -> bool:
        """Whether what it sends is read and looked at."""
        return self._reads and not self.held_back

    def stop_receiving(self) -> None:
        self._reads = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def close(self) -> None:
        self._end()
        self._write()
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.close()
            if transport.get_write_buffer_size():
                self._loop.call_later(_LINGER, transport.abort)

    def _abort(self) -> None:
        self._end()
        if self._transport is not None:
            self._transport.abort()

    def _end(self) -> None:
        """Nothing more is read or held."""
        self.stop_receiving()
        self._stop_waiting()
        self._hold_unread(0)
        peer = getattr(self, "_peer", None)
        if peer is not None:
            self._room.give(self.user, peer.held)
            peer.drop()  # connection and peer refer to each other, so they are freed late

    # -- reading --------------------------------------------------------------------------------------

    def _proceed(self) -> None:
        """Look at what has come, now or when it is its user's turn."""
        if not self._queued:
            self._queued = True
            self._turns.ready(self.user, self._take_turn)
            self._read_or_pause()

    def _take_turn(self) -> bool:
        """Called by `Turns`, for one message or command."""
        if self._looks:
            try:
                message = self._peer.next()
            except zmtp.Violation as violation:
                self._abort()
                self._receiver.gone(self, f"it broke the protocol: {violation}")
            else:
                if message is not None:
                    if message.held:
                        self._room.give(self.user, message.held)
                    self._receiver.receive(self, message)
                elif self._peer.waits and self._patience is None:
                    self._room.wait(self)
                    self._patience = self._loop.call_later(ROOM_PATIENCE, self._lose_patience)
        self._queued = self._looks and self._peer.pending
        if not self._queued:
            self._read_or_pause()
        return self._queued

    def _read_or_pause(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        reads = self._looks and not self._queued and not self._peer.waits
        if reads and not transport.is_reading():
            transport.resume_reading()
        elif not reads and transport.is_reading():
            transport.pause_reading()

    # -- room -----------------------------------------------------------------------------------------

    def _take(self, size: int) -> bool:
        if not self._fits(self, size):
            return False
        self._room.take(self.user, size)
        return True

    def try_again(self) -> bool:
        """Called by `Room`."""
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

    def _stop_waiting(self) -> None:
        self._room.stop_waiting(self)
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _hold_unread(self, size: int) -> None:
        if size != self._unread:
            self._room.take(self.user, size)
            self._room.give(self.user, self._unread)
            self._unread = size

    def _reply(self, data: bytes) -> None:
        """What the protocol itself sends."""
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.write(data)
            self.held_back = self.held_back or self.full
