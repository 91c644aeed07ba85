"""What connections over any socket have in common: their bytes, turns and room, whatever protocol they speak.

Owns: what leaves a connection, written together and counted until it is read; when reading continues; and the
connection's end.
Must never: know what the bytes mean.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import Final, cast

from meshd.gateway.frontends.shares.room import Room
from meshd.gateway.frontends.shares.turns import Turns

FULL_BYTES: Final = 16 * 1024
"""Bytes sent and not yet read by the client beyond which streams wait, and unread bytes take room."""
UNREAD_BYTES: Final = 2 * 1024**2
"""The same, beyond which nothing more is read from the client until it has read."""
ROOM_PATIENCE = 5.0
"""Seconds that a message waits for room, before it is read and refused."""
_LINGER = 0.5  # s in which the last bytes of a closed connection have to be sent


class SocketConnection(ABC):
    """Mixed into an asyncio protocol. user: whose share of turns and room it uses. full: the client has much to read.
    held_back: so much that nothing more is read from it until it has read."""

    def __init__(self, loop: asyncio.AbstractEventLoop, user: Hashable, turns: Turns, room: Room) -> None:
        self.user = user
        self.full = False
        self.held_back = False
        self._loop = loop
        self._turns = turns
        self._room = room
        self._transport: asyncio.Transport | None = None  # before it is made, and when it is over
        self._reads = True
        self._queued = False  # for its turn
        self._unread = 0  # bytes of room that unread answers take
        self._leaving: list[bytes] = []  # what is written together
        self._leaving_size = 0
        self._patience: asyncio.TimerHandle | None = None

    @abstractmethod
    def _take_turn(self) -> bool:
        """Called by `Turns`: process some of what has arrived. Returns whether there is more to do."""

    @property
    @abstractmethod
    def _takes_more(self) -> bool:
        """Whether more is to be read now."""

    @abstractmethod
    def _fits(self, size: int) -> bool:
        """Whether its user has room for that many more bytes."""

    @abstractmethod
    def _has_read(self) -> None:
        """The client has read what was sent: its streams continue."""

    @abstractmethod
    def _lose_patience(self) -> None:
        """There was no room in time."""

    @abstractmethod
    def _ended(self) -> None:
        """Nothing more is read: give back the room that unfinished messages hold. May be called several times."""

    # -- asyncio's -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it
        self._transport.set_write_buffer_limits(high=FULL_BYTES)
        if not self._reads:  # closed before it was made
            self._transport.abort()

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        self._hold_unread(0)
        self._has_read()
        if self.held_back:
            self.held_back = False
            self._proceed()

    # -- sending --------------------------------------------------------------------------------------

    def _gather(self, data: bytes, *, more: bool) -> bool:
        """Send it together with what else is sent in this turn of the loop. more: something may follow soon. Returns
        False if there is no room for what the client does not read; the connection is closed then."""
        if (self.full or len(data) > UNREAD_BYTES) and not self._fits(1):
            self.abort()
            return False
        self._leaving.append(data)
        self._leaving_size += len(data)
        if not more or self._leaving_size > FULL_BYTES:
            self._write()
        elif len(self._leaving) == 1:
            self._loop.call_soon(self._write)
        return True

    def _write(self) -> None:
        """Each write wakes the client, so everything from one iteration of the loop is written together."""
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

    def _hold_unread(self, size: int) -> None:
        if size != self._unread:
            self._room.take(self.user, size)
            self._room.give(self.user, self._unread)
            self._unread = size

    # -- reading --------------------------------------------------------------------------------------

    def _proceed(self) -> None:
        """Process what has arrived, now or when it is its user's turn."""
        if not self._queued:
            self._queued = True
            self._turns.ready(self.user, self._take_turn)
            if self._queued:  # else its turn has come, and has ended with this
                self._read_or_pause()

    def _read_or_pause(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.is_reading() and not self._takes_more:
            transport.pause_reading()
        elif not transport.is_reading() and self._takes_more:
            transport.resume_reading()

    def stop_receiving(self) -> None:
        self._reads = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    # -- room -----------------------------------------------------------------------------------------

    @abstractmethod
    def try_again(self) -> bool:
        """Called by `Room`."""

    def _wait_for_room(self) -> None:
        self._room.wait(self)
        self._patience = self._loop.call_later(ROOM_PATIENCE, self._lose_patience)

    def _stop_waiting(self) -> None:
        self._room.stop_waiting(self)
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    # -- the end --------------------------------------------------------------------------------------

    def close(self) -> None:
        """What was sent has half a second to be delivered. Idempotent."""
        self._end()
        self._write()
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.close()
            if transport.get_write_buffer_size():
                self._loop.call_later(_LINGER, transport.abort)

    def abort(self) -> None:
        """What was sent may be lost. Idempotent."""
        self._end()
        if self._transport is not None:
            self._transport.abort()

    def _end(self) -> None:
        """Nothing more is read or held."""
        self.stop_receiving()
        self._stop_waiting()
        self._hold_unread(0)
        self._ended()
