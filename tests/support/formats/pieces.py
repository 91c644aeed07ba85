"""A provider's body that comes in pieces."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any


class Body:
    """Pieces of bytes, then the end, or a broken connection."""

    def __init__(self, stream: bytes, cuts: Iterable[int] = (), *, breaks: bool = False) -> None:
        edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
        self._pieces = [stream[a:b] for a, b in pairwise(edges) if a < b]
        self._breaks = breaks

    async def read_some(self) -> bytes:
        if self._pieces:
            return self._pieces.pop(0)
        if self._breaks:
            raise ConnectionResetError
        return b""

    def fail(self, reason: Exception) -> None:
        raise AssertionError(reason)

    def abort(self) -> None: ...

    def linger(self, loop: Any) -> None: ...
