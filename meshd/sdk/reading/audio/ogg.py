"""Ogg: pages of packets. A packet of Opus says in its first bytes how long it is; one of Vorbis is a block at most.

https://www.rfc-editor.org/rfc/rfc3533
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from fractions import Fraction

from meshd.sdk.reading.audio.packets import LEAST_PER_SECOND, OPUS_UNIT, opus_units, vorbis_unit

MOST_PACKETS = 500_000

_PAGE = struct.Struct("<4sBBqIIIB")
_CONTINUED = 1
_BEGIN = re.compile(rb"OggS")


@dataclass(slots=True)
class _Stream:
    """The stream of one serial number. block: seconds of a Vorbis packet; None: it is Opus. headers: header packets
    that have not been seen yet. spoken: in `OPUS_UNIT`, or in blocks. open: whether its last packet continues."""

    block: Fraction | None
    headers: int
    spoken: int = 0
    open: bool = False

    @property
    def length(self) -> Fraction:
        return self.spoken * OPUS_UNIT if self.block is None else self.spoken * self.block


def length(data: memoryview) -> Fraction | None:
    """In seconds, at most, whatever its positions say: bytes outside pages count at the lowest rate, and pages are
    looked for after them, as FFmpeg does. None if it is neither Opus nor Vorbis, or has too many packets. Raises
    struct.error if it ends too early."""
    streams: dict[int, _Stream] = {}
    at = packets = lost = 0
    if bytes(data[:4]) != b"OggS":
        return None
    while (page := _BEGIN.search(data, at)) is not None:
        lost += page.start() - at
        at = page.start()
        _, _, flags, _, serial, _, _, count = _PAGE.unpack_from(data, at)
        sizes = bytes(data[at + _PAGE.size : at + _PAGE.size + count])
        body = at + _PAGE.size + count
        packets += count
        stream = streams.get(serial)
        if stream is None:
            stream = _stream(bytes(data[body : body + 30]))
            if stream is None:
                return None
            streams[serial] = stream
        if packets > MOST_PACKETS:
            return None
        at = _read(stream, data, body, sizes, bool(flags & _CONTINUED))
    lost += max(len(data) - at, 0)
    return sum((stream.length for stream in streams.values()), Fraction(lost, LEAST_PER_SECOND))


def _stream(head: bytes) -> _Stream | None:
    if head.startswith(b"OpusHead"):
        return _Stream(None, headers=2)
    block = vorbis_unit(head)
    return None if block is None else _Stream(block, headers=3)


def _read(stream: _Stream, data: memoryview, at: int, sizes: bytes, continued: bool) -> int:
    """Count a page's packets where they begin. Returns where the page ends."""
    begins = not (continued and stream.open)
    for size in sizes:
        if begins and stream.headers:
            stream.headers -= 1
        elif begins and size and at < len(data):
            stream.spoken += 1 if stream.block is not None else opus_units(data, at)
        begins = size < 255
        at += size
    stream.open = not begins
    return at
