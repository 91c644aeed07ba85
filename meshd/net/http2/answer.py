"""An answer over a stream of HTTP/2.

Owns: how much of its body the server may send, and what remains to be sent of the request's body.
Must never: know a frame, or another stream.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from meshd.net.answers import Answer, Headers
from meshd.net.failures import Disconnected, NotHttp

_STATUS = b":status"


class Streams(Protocol):
    """The connection, as its answers see it."""

    loop: asyncio.AbstractEventLoop

    def more_to_send(self, answer: StreamAnswer) -> None: ...

    def taken(self, answer: StreamAnswer, size: int) -> None:
        """This many bytes of the body have been read and no longer take memory."""

    def cancel(self, answer: StreamAnswer) -> None: ...


class StreamAnswer(Answer):
    """stream: its number. asked: when, in loop time. open_ended: more of the request's body may come."""

    __slots__ = ("_connection", "_held", "_room", "_to_send", "asked", "open_ended", "over", "stream")

    def __init__(self, connection: Streams, body: bytes | None = None) -> None:
        super().__init__(connection.loop)
        self.stream = 0
        self.asked = 0.0
        self.open_ended = False
        self.over = False  # the stream has ended
        self._connection = connection
        self._to_send = memoryview(body or b"")
        self._room: asyncio.Future[None] | None = None  # done when more of the body can be written
        self._held = 0  # bytes of the window not yet given back to the server

    # -- what arrives ---------------------------------------------------------------------------------

    def begin(self, headers: Headers) -> None:
        """Raises NotHttp."""
        fields = self._fields
        for name, value in headers:
            if name == _STATUS:
                if len(value) != 3 or not value.isdigit():
                    raise NotHttp(f"the status {value[:16]!r}")
                self.status = int(value)
            else:
                self.headers.append((name, value))
                fields[name] = fields[name] + b"," + value if name in fields else value
        length = self.header(b"content-length")
        self.content_length = int(length) if length.isdecimal() and len(length) < 20 else None
        self.begun = True
        self._wake()

    def add(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        self._held += len(data)
        if self._size > self._most:
            self._wake()
        elif self._whole:
            self._wanted()
        else:
            self._wake()

    def end(self) -> None:
        """Nothing more comes."""
        self._complete()

    def _wanted(self) -> None:
        if self._held:
            held, self._held = self._held, 0
            if not self.over:
                self._connection.taken(self, held)

    def abort(self) -> None:
        if not self.done:
            self._connection.cancel(self)

    # -- the request's body ---------------------------------------------------------------------------

    @property
    def left(self) -> int:
        """How many bytes of it are ready to be sent."""
        return len(self._to_send)

    def next_piece(self, most: int) -> tuple[memoryview, bool]:
        """The next piece to send, and whether it is the last."""
        piece, self._to_send = self._to_send[:most], self._to_send[most:]
        if not self._to_send:
            self.release()
        return piece, not self._to_send and not self.open_ended

    async def write(self, data: bytes) -> None:
        if self.over:
            raise Disconnected
        self._to_send = memoryview(data)
        self._room = self._loop.create_future()
        self._connection.more_to_send(self)
        if not self.over:
            await self._room
        self._check_sent()

    def _check_sent(self) -> None:
        """A method because mypy would take `over` to be false, as it was before the wait."""
        if self.over and self._to_send:
            raise Disconnected

    async def finish(self) -> None:
        self.open_ended = False
        if not self.over:
            self._connection.more_to_send(self)

    def release(self) -> None:
        """What was written is sent, or never will be."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
