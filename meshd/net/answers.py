"""An answer as its reader sees it, whichever version of HTTP it comes over.

Owns: what has arrived and waits to be read, within bounds, and how it fails.
Must never: know how it is transported.
"""

from __future__ import annotations

import asyncio

from meshd.net.failures import ConnectionLost, Cut, Disconnected, TransportError

MOST_HEAD = 256 * 1024
"""Bytes of an answer's status line and headers."""
HIGH = 128 * 1024
"""Bytes of a body that wait to be read before the server has to wait."""

Headers = list[tuple[bytes, bytes]]


class Answer:
    """An answer, whose body may still be arriving. headers: as they were received. begun: its head has arrived.

    content_length: None if the body ends otherwise.
    """

    __slots__ = (
        "_error",
        "_fields",
        "_loop",
        "_most",
        "_parts",
        "_size",
        "_waiter",
        "_whole",
        "begun",
        "content_length",
        "done",
        "headers",
        "reason",
        "status",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.status = 0
        self.reason = ""
        self.headers: Headers = []
        self._fields: dict[bytes, bytes] = {}  # the same, by name in lower case
        self.content_length: int | None = None
        self.begun = False
        self.done = False
        self._loop = loop
        self._parts: list[bytes] = []
        self._size = 0
        self._most = HIGH
        self._whole = False  # the reader waits until it is complete
        self._error: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None

    # -- read -----------------------------------------------------------------------------------------

    def header(self, name: bytes) -> str:
        """name: in lower case. Several values are joined by commas; "" if there is none."""
        return self._fields.get(name, b"").decode("latin-1")

    async def head(self) -> None:
        """Wait for status and headers. Raises TransportError."""
        while not self.begun:
            if self._error is not None:
                raise self._error
            await self._wait()

    async def read(self) -> bytes:
        """The part of the body that has arrived, at least one byte; b"" at its end. An error is raised only after all
        bytes before it were read."""
        while not self._parts:
            if self._error is not None:
                raise self._error
            if self.done:
                return b""
            await self._wait()
        return self._taken()

    async def read_whole(self, most: int) -> bytes:
        """The whole body or, if it is longer, more than `most` bytes of it."""
        self._most, self._whole = most, True
        if self._size <= most:  # more than usual may have come with the headers
            self._wanted()
        while not self.done and self._error is None and self._size <= most:
            await self._wait()
        if self._error is not None and self._size <= most:
            raise self._error
        return self._taken()

    def fail(self, reason: BaseException) -> None:
        """Fail the reader with an error."""
        if self._error is None:
            self._error = reason
        self._wake()

    def abort(self) -> None:
        """Tell the server to stop, unless the answer is complete."""
        raise NotImplementedError

    # -- the request's body, if it is still being sent ------------------------------------------------

    async def write(self, data: bytes) -> None:
        """Send more of it, and wait until the server has taken most of it. Raises Disconnected."""
        raise NotImplementedError

    async def finish(self) -> None:
        """That was all of it."""
        raise NotImplementedError

    # -- what arrives ---------------------------------------------------------------------------------

    def lost(self, error: BaseException | None) -> None:
        """The connection has ended."""
        if self.done:
            return
        if isinstance(error, TransportError):
            self.fail(error)
        elif self.begun:
            self.fail(Cut(cause=error))
        else:
            self.fail(Disconnected() if error is None else ConnectionLost(cause=error))

    def _wanted(self) -> None:
        """More may come."""
        raise NotImplementedError

    def _complete(self) -> None:
        self.done = True
        self._wake()

    def _taken(self) -> bytes:
        parts, self._parts, self._size = self._parts, [], 0
        self._wanted()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
