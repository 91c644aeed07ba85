"""A body in pieces of one size, or in lines.

Must never: hold back more than the piece or the line that is not complete.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class Pieces:
    """A body in pieces of one size, the last one shorter; without a size, as it comes. empty: b"" or ""."""

    def __init__(self, empty: Any, size: int | None) -> None:
        self._left = empty
        self._size = size

    def of(self, more: Any) -> Iterator[Any]:
        """The pieces that this completes."""
        if not self._size:
            if more:
                yield more
            return
        held, at = self._left + more, 0
        while len(held) - at >= self._size:
            yield held[at : at + self._size]
            at += self._size
        self._left = held[at:]

    def rest(self) -> Iterator[Any]:
        if self._left:
            yield self._left

    def only(self, whole: Any) -> Iterator[Any]:
        """The pieces of a complete body."""
        yield from self.of(whole)
        yield from self.rest()


class Lines:
    """A text in lines, without their ends, as it comes."""

    def __init__(self) -> None:
        self._left = ""

    def of(self, more: str) -> Iterator[str]:
        """The lines that this completes."""
        *complete, self._left = (self._left + more).split("\n")
        for line in complete:
            yield line.removesuffix("\r")

    def rest(self) -> Iterator[str]:
        if self._left:
            yield self._left

    def only(self, whole: str) -> Iterator[str]:
        """The lines of a complete text."""
        yield from self.of(whole)
        yield from self.rest()
