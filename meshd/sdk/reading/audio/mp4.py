"""MP4 with AAC (`.m4a`): a table says how many frames it has, but an entry may hide several, which FFmpeg decodes all.
So that its bytes count as well, at the lowest rate: half a bit a sample. Speech in AAC has one to three.

https://developer.apple.com/documentation/quicktime-file-format, and for the stream's own description ISO/IEC 14496-1
(`esds`) and 14496-3 (AudioSpecificConfig).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction

MOST_FRAMES = 500_000
_MOST_BOXES = 256
"""In one place."""
_SAMPLES = 1024
"""Of a frame."""
_PER_BYTE = 16
"""Samples at the lowest rate."""
_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_AAC = (0x40, 0x66, 0x67, 0x68)
_SIZES = struct.Struct(">4xII")
_ENTRY = {0: 28, 1: 44}  # bytes in front of the boxes of `mp4a`, by its version


def length(data: memoryview) -> Fraction | None:
    """In seconds, at most, of all its sound. None if it is not MP4, or has sound that is not AAC in one table. Raises
    struct.error or IndexError where it ends too early."""
    if bytes(data[4:8]) != b"ftyp":
        return None
    top = list(_boxes(data))
    if any(name == b"moof" for name, _ in top):  # its frames are not in the table
        return None
    tracks = [track for name, box in top if name == b"moov" for kind, track in _boxes(box) if kind == b"trak"]
    lengths = [_track(media) for track in tracks for media in _inside(track, b"mdia")]
    known = [each for each in lengths if each is not None]
    return sum(known, Fraction()) or None if len(known) == len(lengths) else None


def _boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Those that follow each other in it. Raises struct.error for more than is plausible."""
    at = 0
    for _ in range(_MOST_BOXES):
        if at + 8 > len(data):
            return
        size, name = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
            head = 16
        end = at + size if size else len(data)
        if end < at + head:
            raise struct.error("a box that is shorter than its header")
        yield name, data[at + head : end]
        at = end
    raise struct.error("too many boxes")


def _inside(data: memoryview, *path: bytes) -> list[memoryview]:
    found = [data]
    for wanted in path:
        found = [box for each in found for name, box in _boxes(each) if name == wanted]
    return found


def _track(media: memoryview) -> Fraction | None:
    """0: it is not sound."""
    (handler,) = _inside(media, b"hdlr")[:1] or [memoryview(b"")]
    if bytes(handler[8:12]) != b"soun":
        return Fraction()
    tables = _inside(media, b"minf", b"stbl")
    sizes, described = ([box for each in tables for box in _inside(each, name)] for name in (b"stsz", b"stsd"))
    if len(sizes) != 1 or len(described) != 1:
        return None
    same, count = _SIZES.unpack_from(sizes[0])
    rate = _rate(described[0])
    if rate is None or not 0 < count <= MOST_FRAMES:
        return None
    total = same * count or sum(struct.unpack_from(f">{count}I", sizes[0], _SIZES.size))
    return Fraction(max(count * _SAMPLES, total * _PER_BYTE), rate)


def _rate(described: memoryview) -> int | None:
    """Of the one description of AAC; None if there are others."""
    entries = list(_boxes(described[8:]))
    if [name for name, _ in entries] != [b"mp4a"]:
        return None
    entry = entries[0][1]
    start = _ENTRY.get(entry[8] << 8 | entry[9])
    found = [] if start is None else _inside(entry[start:], b"esds")
    return _own_rate(found[0]) if len(found) == 1 else None


def _own_rate(esds: memoryview) -> int | None:
    """As the decoder is told it."""
    at = _descriptor(esds, 4, 3)
    flags = esds[at + 2]
    if flags & 0xE0:  # it depends on another stream
        return None
    at = _descriptor(esds, at + 3, 4)
    if esds[at] not in _AAC:
        return None
    at = _descriptor(esds, at + 13, 5)
    kind, number = esds[at] >> 3, (esds[at] & 7) << 1 | esds[at + 1] >> 7
    return _RATES[number] if kind != 31 and number < len(_RATES) else None


def _descriptor(esds: memoryview, at: int, tag: int) -> int:
    """Where the content of the descriptor begins that begins here. Raises IndexError if it is another."""
    if esds[at] != tag:
        raise IndexError("another descriptor")
    at += 1
    for _ in range(4):
        at += 1
        if not esds[at - 1] & 0x80:
            break
    return at
