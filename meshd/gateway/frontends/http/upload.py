"""A request's body that is passed on while it arrives.

Owns: the piece that waits to be read. Must never: hold more than that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from modelmesh.errors import MeshError, RequestTimeoutError

WHOLE = 64 * 1024
"""Bytes: a body of at most this size is read whole in any case."""
_MOST = 64 * 1024  # bytes that wait to be read before nothing more of the body is parsed
SLOW = 30.0
"""Seconds within which another part of a body has to arrive."""


class Upload:
    """length: bytes, None if it is not known in advance. size: bytes that have arrived. wanted: called when a reader
    waits for bytes; taken: when some were read; ended: when all have arrived."""

    def __init__(self, length: int | None) -> None:
        self.length = length
        self.size = 0
        self.done = False
        self.wanted: Callable[[], None] = _nothing
        self.taken: Callable[[], None] = _nothing
        self.ended: Callable[[], None] = _nothing
        self._parts: list[bytes] = []
        self._held = 0
        self._error: MeshError | None = None
        self._came = asyncio.Event()

    @property
    def full(self) -> bool:
        return self._held >= _MOST

    def feed(self, data: bytes) -> None:
        self.size += len(data)
        self._held += len(data)
        self._parts.append(data)
        self._came.set()

    def end(self) -> None:
        self.done = True
        self._came.set()
        self.ended()

    def fail(self, error: MeshError) -> None:
        """The rest will not arrive."""
        self._error = error
        self._came.set()

    async def read(self) -> bytes:
        """What has arrived, at least a byte; b"" at the end. Raises MeshError."""
        while not self._parts:
            if self._error is not None:
                raise self._error
            if self.done:
                return b""
            self.wanted()
            self._came.clear()
            try:
                await asyncio.wait_for(self._came.wait(), SLOW)
            except TimeoutError:
                raise too_slow() from None
        data, self._parts, self._held = b"".join(self._parts), [], 0
        self.taken()
        return data


def too_slow() -> MeshError:
    return RequestTimeoutError(
        "The request did not arrive in time; send it faster.", status_code=408, code="request_too_slow"
    )


def _nothing() -> None: ...
