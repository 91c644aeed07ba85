"""A client's HTTP connection, read and written in the router's loop.

Owns: the bytes of one connection in both directions, within bounds; its requests, answered one after another.
Must never: know what a path means, or read on while its user has taken its share of the room.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Final, Protocol

from meshd.core.caller import Caller, Peer
from meshd.gateway.frontends.http import half_closed
from meshd.gateway.frontends.http.incoming import Incoming, RequestReader
from meshd.gateway.frontends.http.listeners import Listener
from meshd.gateway.frontends.http.reply import HttpReply
from meshd.gateway.frontends.http.upload import SLOW, Upload, too_slow
from meshd.gateway.frontends.shares.room import Room
from meshd.gateway.frontends.shares.turns import Turns
from meshd.gateway.frontends.socket_connection import SocketConnection
from modelmesh.errors import MeshError

_FEWEST = 4096  # bytes of a body that must arrive in that time
_STUCK = 60.0  # s in which a client must read some of an answer that has ended
_AHEAD: Final = 4  # requests that are read while another one is answered
_UNPARSED: Final = 64 * 1024  # bytes that wait for their turn before nothing more is read
_LOOK_EVERY = 0.25  # s between two looks whether a client that sends no more is still there
_LINGER = 2.0  # s for which a closed connection is still read, so that the client gets its last answer


class Receiver(Protocol):
    """What a connection needs of the server."""

    def judge(self, connection: HttpConnection, incoming: Incoming) -> None:
        """The head of a request has come."""

    def receive(self, connection: HttpConnection, incoming: Incoming) -> None:
        """A whole request, to be answered by `finished`."""

    def crowded(self, connection: HttpConnection) -> MeshError:
        """The refusal for a body for which there is no room."""

    def fits(self, connection: HttpConnection, size: int) -> bool:
        """Whether its user has room for that many more bytes."""

    def gone(self, connection: HttpConnection) -> None:
        """Nothing more comes, and nothing can be sent."""


class HttpConnection(SocketConnection, asyncio.Protocol):
    """caller: as identified by the kernel. asks_as: the caller whose share it uses. listener: where it came in. reply:
    that of the request being answered."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        caller: Peer,
        receiver: Receiver,
        turns: Turns,
        room: Room,
        listener: Listener,
    ) -> None:
        super().__init__(loop, caller.shares_as, turns, room)
        self.caller = caller
        self.asks_as: Caller = caller
        self.listener = listener
        self.reply: HttpReply | None = None
        self._receiver = receiver
        self._reader = RequestReader(lambda incoming: receiver.judge(self, incoming))
        self._waiting: deque[Incoming] = deque()
        self._unparsed = b""
        self._since = time.monotonic()  # since when it has been in its state: idle, in a head, in a body, unread
        self._came = 0  # bytes of a body since then
        self._left = 0  # bytes that the client had not read then
        self._closing = False  # after what is being sent
        self._held = 0  # bytes of room that a body takes
        self._sends_no_more = False  # the client, which waits for answers
        self._looking: asyncio.TimerHandle | None = None

    # -- asyncio's -----------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._closing or not self._reads:
            return  # read so that the client is not cut off before it has its answer
        self._unparsed = self._unparsed + data if self._unparsed else data
        self._proceed()

    def eof_received(self) -> bool:
        """Whether the connection stays open: a client may end its side when it has sent all, and wait for answers."""
        self._sends_no_more = True
        if self.listener.tls is None and self._owes and not self._lacks_body:  # TLS has no half
            self._look_for_client()
        return self._looking is not None

    def _look_for_client(self) -> None:
        """From now on, end when the client does."""
        self._looking = None
        if self._transport is not None and half_closed.waits(self._transport, is_unix=self.listener.is_unix):
            self._looking = self._loop.call_later(_LOOK_EVERY, self._look_for_client)
        else:
            self.abort()

    def _has_read(self) -> None:
        if self.reply is not None:
            self.reply.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._end()
        self._reader.close()

    # -- a reply's ------------------------------------------------------------------------------------

    def send(self, data: bytes) -> bool:
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        return self._gather(data, more=True)

    def finished(self, reply: HttpReply, data: bytes, *, keeps: bool) -> None:
        if reply is not self.reply:
            return
        self.reply = None
        if not self._gather(data, more=False):
            return
        self._begin_to_wait()
        if not keeps or (self._looking is not None and not self._owes):
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

    def count_as(self, caller: Caller) -> None:
        """From now on, what it holds counts towards another share."""
        held, user = self._held + self._unread, caller.shares_as
        self._room.take(user, held)
        self._room.give(self.user, held)
        self.asks_as, self.user = caller, user

    def check(self, now: float, keepalive: float) -> None:
        """Called every few seconds: close it if the client is too slow. keepalive: seconds that it may stay without a
        request."""
        transport = self._transport
        waited = now - self._since
        if transport is None:
            return
        left = transport.get_write_buffer_size()
        if not self.held_back and (self.reply is not None or self._queued or self._patience is not None):
            self._since = now
        elif left:
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
                self._reader.cut(too_slow())
                self._proceed()
        elif waited > keepalive:
            self.close()

    # -- reading --------------------------------------------------------------------------------------

    def _take_turn(self) -> bool:
        """Parse a piece, or begin a request."""
        if self._may_parse:
            self._parse()
        if self._may_begin:
            self._receiver.receive(self, self._waiting.popleft())
        self._queued = self._may_parse or self._may_begin
        if not self._queued:
            self._read_or_pause()
            lacks = self._lacks_body or not self._owes
            if self._looking is not None and lacks and not self._closing:  # it sent half a request
                self._close_after_writing()
        return self._queued

    @property
    def _owes(self) -> bool:
        """Whether an answer is due, or a request is still to be looked at."""
        return self.reply is not None or bool(self._waiting) or self._may_parse or self._patience is not None

    @property
    def _lacks_body(self) -> bool:
        """Whether more of an upload has to come."""
        current = self._reader.current
        return current is not None and current.upload is not None and not self._unparsed

    @property
    def _may_begin(self) -> bool:
        return self._reads and not self._closing and not self.held_back and self.reply is None and bool(self._waiting)

    @property
    def _may_parse(self) -> bool:
        if not self._reads or self._closing:
            return False
        if self._reader.complete:
            return True
        current = self._reader.current
        if current is not None and current.upload is not None and current.upload.full:
            return False
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

    def watch(self, upload: Upload) -> None:
        """Continue to read the upload as fast as it is consumed."""

        def taken() -> None:
            self._give_room()
            self._proceed()

        upload.wanted, upload.taken = self._allow_to_continue, taken

    def _allow_to_continue(self) -> None:
        """Let a client that asked for permission send its body, if nothing has to be sent to it first."""
        current = self._reader.current
        if current is not None and self._reader.in_body and current.continues:
            current.continues = False
            self._leaving.append(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._write()

    def _begin_to_wait(self) -> None:
        self._since, self._came = time.monotonic(), 0

    @property
    def _takes_more(self) -> bool:
        waits = self.held_back or self._patience is not None or len(self._unparsed) >= _UNPARSED
        return self._reads and not self._sends_no_more and (self._closing or not waits)

    # -- room -----------------------------------------------------------------------------------------

    def _fits(self, size: int) -> bool:
        return self._receiver.fits(self, size)

    def _take_room(self, size: int) -> bool:
        if not self._fits(size):
            self._wait_for_room()
            return False
        self._room.take(self.user, size)
        self._held += size
        return True

    def try_again(self) -> bool:
        if self._patience is None:
            return False
        if not self._fits(min(self._reader.takes, len(self._unparsed))):
            return True
        self._stop_waiting()
        self._proceed()
        return False

    def _lose_patience(self) -> None:
        self._stop_waiting()
        self._reader.cut(self._receiver.crowded(self))
        self._proceed()

    def _give_room(self) -> None:
        held, self._held = self._held, 0
        if held:
            self._room.give(self.user, held)

    # -- the end --------------------------------------------------------------------------------------

    def _close_after_writing(self) -> None:
        """The client may still be sending: if that were not read, the kernel would discard what we have sent."""
        self._closing = True
        self._waiting.clear()
        self._unparsed = b""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.can_write_eof() and not self._sends_no_more:
            transport.write_eof()
            self._read_or_pause()
        else:  # TLS, or there is nothing to read
            transport.close()

    def _ended(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        self._give_room()
        self._waiting.clear()
        self._unparsed = b""
        self._receiver.gone(self)
