"""A client's HTTP connection, read and written in the router's loop.

Owns: the bytes of one connection in both directions, within bounds; its requests, answered one after another.
Must never: know what a path means, or read on while its user has taken its share of the room.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Protocol, cast

from meshd.core.caller import Peer
from meshd.gateway.frontends.http.incoming import Incoming, RequestReader
from meshd.gateway.frontends.http.listeners import Listener
from meshd.gateway.frontends.http.reply import HttpReply
from meshd.gateway.frontends.room import Room
from meshd.gateway.frontends.turns import Turns
from modelmesh.errors import MeshError, RequestTimeoutError

FULL_BYTES = 16 * 1024
"""Sent and not read by the client, after which streams wait, and what is unread takes room."""
UNREAD_BYTES = 8 * 1024**2
"""The same, after which a client is dropped."""
ROOM_PATIENCE = 5.0
"""Seconds that a body waits for room, before its request is refused."""
SLOW = 30.0
"""Seconds that a head may take, and in which some of a body has to come."""
_FEWEST = 4096  # bytes of a body in that time
_STUCK = 60.0  # s in which a client has to read something of an answer that has ended
_AHEAD = 4  # requests that are read while another one is answered
_UNPARSED = 64 * 1024  # bytes that wait for their turn before nothing more is read
_LINGER = 2.0  # s that a closed connection is still read, so that the client gets its last answer
_LAST = 0.5  # s that the last bytes have to leave when the daemon ends


class Receiver(Protocol):
    """What a connection needs of the server."""

    def judge(self, connection: HttpConnection, incoming: Incoming) -> None:
        """The head of a request has come."""

    def receive(self, connection: HttpConnection, incoming: Incoming) -> None:
        """A whole request, to be answered by `finished`."""

    def crowded(self, connection: HttpConnection) -> MeshError:
        """The refusal for a body for which there is no room."""

    def fits(self, connection: HttpConnection, size: int) -> bool:
        """Whether there is room for so many bytes of its user."""

    def gone(self, connection: HttpConnection) -> None:
        """Nothing more comes, and nothing can be sent."""


class HttpConnection(asyncio.Protocol):
    """caller: as the kernel names it. listener: where it came in. keepalive: seconds without a request, after
    which it is closed. reply: of the request that is being answered. full: the client has much to read."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        caller: Peer,
        receiver: Receiver,
        turns: Turns,
        room: Room,
        *,
        listener: Listener,
        keepalive: float,
    ) -> None:
        self.caller = caller
        self.user = caller.uid
        self.listener = listener
        self.keepalive = keepalive
        self.full = False
        self.reply: HttpReply | None = None
        self._loop = loop
        self._receiver = receiver
        self._turns = turns
        self._room = room
        self._reader = RequestReader(lambda incoming: receiver.judge(self, incoming))
        self._waiting: deque[Incoming] = deque()
        self._unparsed = b""
        self._since = time.monotonic()  # when it became what it is: idle, in a head, in a body, unread
        self._came = 0  # bytes of a body since then
        self._left = 0  # bytes that the client had not read then
        self._queued = False  # for its turn
        self._reads = True
        self._closing = False  # after what is being sent
        self._held = 0  # bytes of room that a body takes
        self._unread = 0  # bytes of room that unread answers take
        self._patience: asyncio.TimerHandle | None = None
        self._leaving: list[bytes] = []  # what is written together
        self._leaving_size = 0
        self._transport: asyncio.Transport | None = None  # before it is made, and when it is over

    # -- asyncio's -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._transport.set_write_buffer_limits(high=FULL_BYTES)
        if not self._reads:  # closed before it was made
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._closing or not self._reads:
            return  # read so that the client is not cut off before it has its answer
        self._unparsed = self._unparsed + data if self._unparsed else data
        self._proceed()

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        self._hold_unread(0)
        if self.reply is not None:
            self.reply.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._end()

    # -- a reply's ------------------------------------------------------------------------------------

    def send(self, data: bytes) -> bool:
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if self.full and (transport.get_write_buffer_size() > UNREAD_BYTES or not self._receiver.fits(self, len(data))):
            self.abort()
            return False
        self._leaving.append(data)
        self._leaving_size += len(data)
        if self._leaving_size > FULL_BYTES:
            self._write()
        elif len(self._leaving) == 1:
            self._loop.call_soon(self._write)
        return True

    def finished(self, reply: HttpReply, data: bytes, *, keeps: bool) -> None:
        if reply is not self.reply:
            return
        self.reply = None
        self._leaving.append(data)
        self._write()
        self._begin_to_wait()
        if not keeps:
            self._close_after_writing()
        elif self._waiting or self._unparsed:
            self._proceed()
        else:
            self._allow_to_continue()
            self._read_or_pause()

    # -- the server's ---------------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        return self.reply is None and not self._waiting and not self._reader.begun and not self._unparsed

    def check(self, now: float) -> None:
        """Called every few seconds: close it if the client is too slow."""
        transport = self._transport
        waited = now - self._since
        if transport is None:
            return
        if self.reply is not None or self._queued or self._patience is not None:
            self._since = now
        elif left := transport.get_write_buffer_size():
            if left != self._left:
                self._left, self._since = left, now
            elif waited > _STUCK:
                self.abort()
        elif self._closing:
            if waited > _LINGER:
                self.abort()
        elif self._reader.begun:
            if waited > SLOW and self._reader.in_body and self._came >= _FEWEST:
                self._begin_to_wait()
            elif waited > SLOW:
                self._reader.cut(_too_slow())
                self._proceed()
        elif waited > self.keepalive:
            self.close()

    def stop_receiving(self) -> None:
        self._reads = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def close(self) -> None:
        """What was sent has half a second to be delivered. Idempotent."""
        self._write()
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.close()
            if transport.get_write_buffer_size():
                self._loop.call_later(_LAST, transport.abort)
        self._end()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        self._end()

    # -- reading --------------------------------------------------------------------------------------

    def _proceed(self) -> None:
        """Look at what has come, now or when it is its user's turn."""
        if not self._queued:
            self._queued = True
            self._turns.ready(self.user, self._take_turn)
            self._read_or_pause()

    def _take_turn(self) -> bool:
        """Called by `Turns`: parse a piece, or begin a request. Returns whether there is more to do."""
        if self._reads and not self._closing:
            if self._may_parse:
                self._parse()
            if self.reply is None and self._waiting:
                self._receiver.receive(self, self._waiting.popleft())
        self._queued = (
            self._reads and not self._closing and (self._may_parse or (self.reply is None and bool(self._waiting)))
        )
        if not self._queued:
            self._read_or_pause()
        return self._queued

    @property
    def _may_parse(self) -> bool:
        if self._reader.complete:
            return True
        blocked = self._reader.ended or len(self._waiting) >= _AHEAD or self._patience is not None
        return bool(self._unparsed) and not blocked

    def _parse(self) -> None:
        reader, was_begun, was_in_body = self._reader, self._reader.begun, self._reader.in_body
        if self._unparsed and not reader.ended:
            size = reader.takes
            piece, rest = self._unparsed[:size], self._unparsed[size:]
            if reader.in_body and not self._take_room(len(piece)):
                return
            self._unparsed = rest
            if reader.in_body:
                self._came += len(piece)
            reader.feed(piece)
        if reader.begun and (not was_begun or reader.in_body != was_in_body):
            self._begin_to_wait()
        if reader.complete:
            self._give_room()
            self._waiting.extend(reader.complete)
            reader.complete.clear()
        elif self.reply is None and not self._waiting:
            self._allow_to_continue()

    def _allow_to_continue(self) -> None:
        """A client that asked whether it may send its body may, if nothing is to be sent to it before."""
        current = self._reader.current
        if current is not None and self._reader.in_body and current.continues:
            current.continues = False
            self._leaving.append(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._write()

    def _begin_to_wait(self) -> None:
        self._since, self._came = time.monotonic(), 0

    def _read_or_pause(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        reads = self._reads and (self._closing or (len(self._unparsed) < _UNPARSED and self._patience is None))
        if reads and not transport.is_reading():
            transport.resume_reading()
        elif not reads and transport.is_reading():
            transport.pause_reading()

    # -- room -----------------------------------------------------------------------------------------

    def _take_room(self, size: int) -> bool:
        if not self._receiver.fits(self, size):
            self._room.wait(self)
            self._patience = self._loop.call_later(ROOM_PATIENCE, self._lose_patience)
            return False
        self._room.take(self.user, size)
        self._held += size
        return True

    def try_again(self) -> bool:
        """Called by `Room`."""
        if self._patience is None:
            return False
        if not self._receiver.fits(self, min(self._reader.takes, len(self._unparsed))):
            return True
        self._stop_waiting()
        self._proceed()
        return False

    def _lose_patience(self) -> None:
        self._stop_waiting()
        self._reader.cut(self._receiver.crowded(self))
        self._proceed()

    def _stop_waiting(self) -> None:
        self._room.stop_waiting(self)
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_room(self) -> None:
        held, self._held = self._held, 0
        if held:
            self._room.give(self.user, held)

    def _hold_unread(self, size: int) -> None:
        if size != self._unread:
            self._room.take(self.user, size)
            self._room.give(self.user, self._unread)
            self._unread = size

    # -- writing --------------------------------------------------------------------------------------

    def _write(self) -> None:
        """Each write wakes the client up, so that what is sent in one turn of the loop leaves together."""
        leaving, self._leaving, self._leaving_size = self._leaving, [], 0
        transport = self._transport
        if not leaving or transport is None or transport.is_closing():
            return
        transport.writelines(leaving)
        if self.full:
            self._hold_unread(transport.get_write_buffer_size())

    # -- the end --------------------------------------------------------------------------------------

    def _close_after_writing(self) -> None:
        """The client may still send: if that were not read, the kernel would throw away what we have sent."""
        self._closing = True
        self._waiting.clear()
        self._unparsed = b""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.can_write_eof():
            transport.write_eof()
            self._read_or_pause()
        else:  # TLS
            transport.close()

    def _end(self) -> None:
        """Nothing more is read or held."""
        self.stop_receiving()
        self._stop_waiting()
        self._give_room()
        self._hold_unread(0)
        self._waiting.clear()
        self._unparsed = b""
        self._receiver.gone(self)


def _too_slow() -> MeshError:
    return RequestTimeoutError(
        "The request did not come in time; send it faster.", status_code=408, code="request_too_slow"
    )
