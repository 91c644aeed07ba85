"""How many pages a document has.

Owns: which formats are read. The number that a file merely states (`/Count`) could let an app reserve less than it
uses, so page objects are counted, including those in compressed object streams.
Must never: hold more than `MOST_INFLATED` bytes of these, or guess: the result is None if the bytes do not tell.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

MOST_INFLATED = 32 * 1024 * 1024
"""Bytes of all compressed object streams together."""

_PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")
_OBJECTS = re.compile(rb"/ObjStm\b[^\0]{0,400}?>>\s*stream\r?\n")
_END = re.compile(rb"endstream")
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM")


def pages_of(data: memoryview) -> int | None:
    """At least one; None for another format, or a document that cannot be read to its end."""
    if bytes(data[:8]).startswith(_PICTURES):
        return 1
    if b"%PDF-" not in bytes(data[:1024]):
        return None
    try:
        found = len(_PAGE.findall(data)) + sum(len(_PAGE.findall(each)) for each in _inflated(data))
    except (zlib.error, _NotWhole):
        return None
    return found or None


class _NotWhole(Exception):
    pass


def _inflated(data: memoryview) -> Iterator[bytes]:
    """One after the other, so that no byte is looked at twice."""
    left = MOST_INFLATED
    begun = _OBJECTS.search(data)
    while begun is not None:
        end = _END.search(data, begun.end())
        if end is None:
            raise _NotWhole
        inflate = zlib.decompressobj()
        objects = inflate.decompress(data[begun.end() : end.start()], left)
        left -= len(objects)
        if not inflate.eof or left <= 0:
            raise _NotWhole
        yield objects
        begun = _OBJECTS.search(data, end.end())
