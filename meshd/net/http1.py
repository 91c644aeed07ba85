"""HTTP/1.1 over one connection: a request, and its answer as it arrives.

Owns: the bytes of one exchange at a time, within bounds; `httptools` (llhttp) parses them.
Must never: know a pool, a proxy or a provider, or read on while a body is not being read.

A general-purpose HTTP client costs five times as much for each request (docs/benchmarks.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import httptools

from meshd.net.answers import MOST_HEAD, Answer
from meshd.net.failures import Cut, Disconnected, NotHttp, TransportError
from meshd.net.seam import Opening

_SHOWN = 64  # bytes of what is not HTTP, in its error


class ParsedAnswer(Answer):
    """keeps: the connection may be used again. extra: something came after it."""

    __slots__ = ("_connection", "_head_size", "_informational", "_parser", "_paused", "extra", "keeps")

    def __init__(self, connection: HttpConnection) -> None:
        super().__init__(connection.loop)
        self.keeps = False
        self.extra = False
        self._connection = connection
        self._parser: Any = httptools.HttpResponseParser(self)
        # Some servers break these rules, and browsers and other clients accept that.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self._informational = False
        self._head_size = 0
        self._paused = False

    def abort(self) -> None:
        """Close the connection, unless the answer is complete."""
        if not self.done:
            self._connection.abort()

    async def write(self, data: bytes) -> None:
        await self._connection.write(b"%x\r\n%b\r\n" % (len(data), data) if self._connection.chunked else data)

    async def finish(self) -> None:
        self._connection.sending = False
        if self._connection.chunked:
            await self._connection.write(b"0\r\n\r\n")

    def ended(self) -> None:
        """Nothing more comes. The parser refers to this object, a cycle that only the garbage collector would break."""
        self._parser = None

    def _wanted(self) -> None:
        if self._paused:
            self._paused = False
            self._connection.resume()

    def receive(self, data: bytes) -> None:
        """Raises TransportError if that ends the connection."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise NotHttp("it switches to another protocol") from None
        except httptools.HttpParserError as error:
            if self.begun:
                raise Cut(f"its answer is malformed: {error}") from None
            raise NotHttp(f"{error}: {data[:_SHOWN]!r}") from None
        if not self.begun:
            self._head_size += len(data)
            if self._head_size > MOST_HEAD:
                raise NotHttp(f"the headers of its answer have more than {MOST_HEAD} bytes")

    def lost(self, error: BaseException | None) -> None:
        """The connection has ended."""
        if self.begun and error is None and not self.done and self.content_length is None and not self._chunked():
            self._complete()
        else:
            super().lost(error)

    def on_message_begin(self) -> None:
        self.extra = self.done

    def on_status(self, reason: bytes) -> None:
        self.reason += reason.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.begun:  # the trailers of a chunked body are ignored
            self.headers.append((name, value))
            name, fields = name.lower(), self._fields
            fields[name] = fields[name] + b"," + value if name in fields else value

    def on_headers_complete(self) -> None:
        status: int = self._parser.get_status_code()
        self._informational = status < 200
        if self._informational:
            self.headers, self._fields, self.reason = [], {}, ""
            return
        self.status = status
        length = self.header(b"content-length")
        self.content_length = int(length) if length.isdecimal() and not self._chunked() else None
        self.begun = True
        self._wake()

    def on_body(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size > self._most:
            if not self._paused:
                self._paused = True
                self._connection.pause()
            self._wake()
        elif not self._whole:
            self._wake()

    def on_message_complete(self) -> None:
        if not self._informational:
            self.keeps = self._parser.should_keep_alive()
            self._complete()

    def _chunked(self) -> bool:
        return self.header(b"transfer-encoding").lower().rpartition(",")[2].strip() == "chunked"


class HttpConnection(Opening):
    """freed: called when it may be used again. closed: called once, when it no longer can be. idle_since: loop time."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        freed: Callable[[HttpConnection], None] = lambda _: None,
        closed: Callable[[HttpConnection], None] = lambda _: None,
    ) -> None:
        self.loop = loop
        self.freed = freed
        self.closed = closed
        self.most = 1
        self.idle_since = 0.0
        self.sending = False  # more of a request's body follows
        self.chunked = False  # whether that body is sent in chunks
        self._answer: ParsedAnswer | None = None  # of the exchange under way
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._transport: asyncio.Transport | None = None  # before it is made, and when it is over

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @property
    def socket(self) -> Any:
        """For asking the kernel about it."""
        return None if self._transport is None else self._transport.get_extra_info("socket")

    def ask(self, head: bytes, body: bytes | None) -> ParsedAnswer:
        """Send a request; wait for its answer's `head`."""
        assert self._answer is None, "an exchange is under way"
        answer = self._answer = ParsedAnswer(self)
        if self._transport is None:
            answer.fail(Disconnected())
        elif body:
            self._transport.writelines((head, body))
        else:
            self._transport.write(head)
        return answer

    def ask_in_parts(self, head: bytes, length: int | None) -> ParsedAnswer:
        """The same for a body that is written to the answer. length: bytes, None if it is not known."""
        self.sending, self.chunked = True, length is None
        size = b"Transfer-Encoding: chunked" if length is None else b"Content-Length: %d" % length
        return self.ask(head + size + b"\r\n\r\n", None)

    async def write(self, data: bytes) -> None:
        """Send more of a request's body, and wait until the server has taken most of it. Raises Disconnected."""
        if self._transport is None or self._transport.is_closing():
            raise Disconnected
        self._transport.write(data)
        await self._has_room.wait()

    def release_transport(self) -> asyncio.Transport:
        """Give up the connection without closing it."""
        transport, self._transport, self._answer = self._transport, None, None
        if transport is None:
            raise Disconnected
        return transport

    def pause(self) -> None:
        if self.usable:
            cast(asyncio.Transport, self._transport).pause_reading()

    def resume(self) -> None:
        if self.usable:
            cast(asyncio.Transport, self._transport).resume_reading()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # -- asyncio's -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:  # nothing was asked
            self.abort()
            return
        try:
            answer.receive(data)
        except TransportError as error:
            if not answer.done:
                answer.fail(error)
            self.abort()
            return
        if answer.done:
            self._answer = None
            answer.ended()
            transport = self._transport
            sent = transport is not None and not self.sending and not transport.get_write_buffer_size()
            if answer.keeps and not answer.extra and sent:
                self.freed(self)
            else:
                self.close()

    def pause_writing(self) -> None:
        self._has_room.clear()

    def resume_writing(self) -> None:
        self._has_room.set()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._has_room.set()
        answer, self._answer, self._transport = self._answer, None, None
        if answer is not None:
            answer.lost(exc)
            answer.ended()
        self.closed(self)
