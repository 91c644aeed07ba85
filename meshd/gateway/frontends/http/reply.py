"""An answer over HTTP: in one piece, or as server-sent events.

Owns: the bytes of one answer. Must never: decide what an app gets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from meshd.formats.protocol import Framing
from meshd.gateway.frontends.credit import MOST_CREDIT, CreditedReply
from meshd.gateway.frontends.exchange import ClientGone, Deadline, Request
from meshd.gateway.frontends.http import heads
from modelmesh.errors import MeshError

SILENCE = 10.0
"""Seconds without anything sent on a stream, after which the app gets a sign that it is still alive."""
_UNCACHED: Final = ("cache-control", "no-cache")
_BODILESS: Final = frozenset({204, 304})


class Sender(Protocol):
    """The part of a connection that a reply uses. full: the client has much to read."""

    full: bool

    def send(self, data: bytes) -> bool:
        """False if the connection is closed."""

    def abort(self) -> None:
        """Reset the connection."""

    def finished(self, reply: HttpReply, data: bytes, *, keeps: bool) -> None:
        """Send the rest of an answer. keeps: the connection may be used again."""


class HttpReply(CreditedReply):
    """extra: headers of every answer to this request. told: returns further headers when its head is sent. chunked:
    False for HTTP/1.0. bodiless: the request was HEAD. keeps: whether its connection may be used again. finish: called
    when it is answered."""

    carries_bytes = True
    __slots__ = (
        "_app",
        "_begun",
        "_first",
        "_heard",
        "_last",
        "_loop",
        "_mesh",
        "_opened",
        "_sender",
        "_timer",
        "bodiless",
        "chunked",
        "extra",
        "finish",
        "keeps",
        "request",
        "told",
    )

    def __init__(self, sender: Sender, app: Framing, deadline: Deadline, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(deadline, MOST_CREDIT)
        self.extra: list[tuple[str, str]] = []
        self.told: Callable[[], list[tuple[str, str]]] = list
        self.chunked = True
        self.bodiless = False
        self.keeps = True
        self.request: Request | None = None
        self.finish: Callable[[], None] | None = None
        self._sender = sender
        self._app = app
        self._loop = loop
        self._mesh: dict[str, Any] = {}  # what is known about the answer before it comes
        self._opened: tuple[int, Mapping[str, str]] | None = None
        self._begun = False  # the head of a stream was sent
        self._first = self._last = b""  # the chunks that were sent first and last
        self._heard = 0  # chunks that were sent when the timer was set
        self._timer: asyncio.TimerHandle | None = None

    @property
    def full(self) -> bool:
        return self._sender.full

    def watch(self) -> None:
        """From now on, an app that waits for a stream, or for more of it, gets a keep-alive while it is silent."""
        self._heard = self.sent
        self._timer = self._loop.call_later(SILENCE, self._break_silence)

    # -- Reply ----------------------------------------------------------------------------------------

    def respond(self, body: bytes, mesh: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self._whole(200, body, [*heads.of_answer(headers), *heads.of_mesh(mesh)])

    def begins(self, mesh: dict[str, Any]) -> None:
        self._mesh = mesh

    def frame(self, framing: Framing) -> None:
        self._app = framing

    def opens(self, status: int, headers: Mapping[str, str]) -> None:
        self._opened = status, headers
        self.bodiless = self.bodiless or status in _BODILESS

    def error(self, error: MeshError) -> None:
        mesh = {"attempts": error.attempts, **self._mesh}
        if not self._begun:
            self._whole(error.status_code, self._app.error(error), [*heads.of_error(error), *heads.of_mesh(mesh)])
        elif not self.done and self.file is None and self._opened is None:
            events = b"".join(map(self._app.event, self._app.stream_error(error, self._first, self._last)))
            self._finish(self._piece(self._remark(mesh) + events) + self._end())
        elif not self.done:
            self._break_off()

    def end(self, usage: dict[str, Any] | None, mesh: dict[str, Any]) -> None:
        if not self.done:
            begin = b"" if self._begun else self._stream_head()
            last = self._remark(mesh) + self._app.last if self.file is None else b""
            self._finish(begin + self._piece(last) + self._end())

    def _send_chunk(self, data: bytes) -> None:
        self.credit = MOST_CREDIT  # the connection itself controls how much the client takes
        begin = b"" if self._begun else self._stream_head()
        if self.bodiless and not self.done:
            self._finish(begin)  # nothing more is to be read for it
            return
        piece = self._app.event(data) if self.file is None else data
        if self.done or not self._sender.send(begin + self._piece(piece)):
            raise ClientGone
        self._first, self._last = self._first or data, data

    # -- inside ---------------------------------------------------------------------------------------

    def plain(self, status: int, body: bytes, headers: list[tuple[str, str]]) -> None:
        """An answer that is none of an API's."""
        self._whole(status, body, headers)

    def may_keep(self) -> None:
        """Whether the connection may be used again, unless the client was told otherwise."""
        if not self._begun:
            self.keeps = True

    def gone(self) -> None:
        """The client has disconnected."""
        self.done = True
        self._stop_watching()
        self.wake()

    def _remark(self, mesh: dict[str, Any]) -> bytes:
        """What is not yet known when the head of a stream is sent."""
        return self._app.remark(f"{name}: {value}" for name, value in heads.of_mesh(mesh))

    def _whole(self, status: int, body: bytes, headers: list[tuple[str, str]]) -> None:
        if self.done:
            return
        framing = [] if status == 204 else [("content-length", str(len(body)))]
        data = self._head(status, [*headers, *framing])
        self._finish(data if self.bodiless else data + body)

    def _head(self, status: int, headers: list[tuple[str, str]]) -> bytes:
        return heads.head(status, [*headers, *self._connection(), *self.extra, *self.told()])

    def _connection(self) -> list[tuple[str, str]]:
        if not self.keeps:
            return [("connection", "close")]
        return [] if self.chunked else [("connection", "keep-alive")]  # HTTP/1.0 has to be told

    def _stream_head(self) -> bytes:
        self._begun = True
        if not self.chunked:
            self.keeps = False  # the end of the connection is the end of the body
        status, opened = self._opened or (200, {})
        framing = [("transfer-encoding", "chunked")] if self.chunked and status not in _BODILESS else []
        media_type = self._app.media_type if self.file is None else heads.plain(self.file)
        began = heads.of_answer(opened) if self._opened else [("content-type", media_type), _UNCACHED]
        return self._head(status, [*began, *heads.of_mesh(self._mesh), *framing])

    def _piece(self, data: bytes) -> bytes:
        if self.bodiless:
            return b""
        if not self.chunked or not data:
            return data
        return b"%x\r\n%b\r\n" % (len(data), data)

    def _end(self) -> bytes:
        return b"0\r\n\r\n" if self.chunked and not self.bodiless else b""

    def _finish(self, data: bytes) -> None:
        self.done = True
        self._stop_watching()
        finish, self.finish, self.request = self.finish, None, None  # both hold this reply: a cycle frees nothing
        if finish is not None:
            finish()
        self._sender.finished(self, data, keeps=self.keeps)

    def _break_off(self) -> None:
        """A file has no place for an error: its last chunk is not sent, so that the client knows that the file is
        incomplete. Without chunks, only a reset tells the client."""
        self.keeps = False
        self._finish(b"")
        if not self.chunked:
            self._sender.abort()

    def _break_silence(self) -> None:
        if self.done or self.request is None:
            return
        silent = self.sent == self._heard and not self.full and self.file is None
        if silent and self.request.stream:  # known once its body was read
            begin = b"" if self._begun else self._stream_head()
            self._sender.send(begin + self._piece(self._app.ping))
        self.watch()

    def _stop_watching(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
