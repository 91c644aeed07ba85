"""Ogg: pages of packets. A packet of Opus says in its first bytes how long it is; one of Vorbis is a block at most.

https://www.rfc-editor.org/rfc/rfc3533, https://www.rfc-editor.org/rfc/rfc6716#section-3.1,
https://xiph.org/vorbis/doc/Vorbis_I_spec.html
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction

MOST_PACKETS = 500_000
_LEAST_PER_SECOND = 750
"""Bytes: Opus at 6 kbit/s."""

_PAGE = struct.Struct("<4sBBqIIIB")
_VORBIS = struct.Struct("<IBIIIIB")
_CONTINUED = 1
_LONGEST = 48  # of an Opus packet, as all below in units of 2.5 ms
_OPUS = (4, 8, 16, 24) * 3 + (4, 8) * 2 + (1, 2, 4, 8) * 4
_HIGHEST_RATE = 384_000


@dataclass(slots=True)
class _Stream:
    """Of one serial number. block: seconds of a packet of Vorbis; None: it is Opus. headers: packets in front of sound
    that have not come yet. spoken: in units of 2.5 ms, or in blocks. open: whether its last packet continues."""

    block: Fraction | None
    headers: int
    spoken: int = 0
    open: bool = False

    @property
    def length(self) -> Fraction:
        return Fraction(self.spoken, 400) if self.block is None else self.spoken * self.block


def length(data: memoryview) -> Fraction | None:
    """In seconds, at most, whatever its positions say: what is not a page has the lowest rate. None if it is neither
    Opus nor Vorbis, or has too many packets. Raises struct.error where it ends too early."""
    streams: dict[int, _Stream] = {}
    at = packets = 0
    while bytes(data[at : at + 4]) == b"OggS":
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
    if not streams:
        return None
    lost = Fraction(max(len(data) - at, 0), _LEAST_PER_SECOND)
    return sum((stream.length for stream in streams.values()), lost)


def _stream(head: bytes) -> _Stream | None:
    if head.startswith(b"OpusHead"):
        return _Stream(None, headers=2)
    if head.startswith(b"\x01vorbis"):
        _, _, rate, _, _, _, blocks = _VORBIS.unpack_from(head, 7)
        if 0 < rate <= _HIGHEST_RATE:
            return _Stream(Fraction(1 << (blocks >> 4), 2 * rate), headers=3)
    return None


def _read(stream: _Stream, data: memoryview, at: int, sizes: bytes, continued: bool) -> int:
    """Count a page's packets where they begin; where the page ends."""
    begins = not (continued and stream.open)
    for size in sizes:
        if begins and stream.headers:
            stream.headers -= 1
        elif begins and size and at < len(data):
            stream.spoken += 1 if stream.block is not None else _opus(data, at)
        begins = size < 255
        at += size
    stream.open = not begins
    return at


def _opus(data: memoryview, at: int) -> int:
    """How long a packet is; what is cut off is as long as one can be."""
    if at + 2 > len(data):
        return _LONGEST
    first = data[at]
    frames = (1, 2, 2, data[at + 1] & 0x3F)[first & 3]
    return min(_OPUS[first >> 3] * frames, _LONGEST)
