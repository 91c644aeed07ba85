"""MP4 with AAC (`.m4a`): tables say how many frames it has, either one for the whole file or, from browsers and
streams, one for each fragment. But an entry may hide several frames, all of which FFmpeg decodes. So its bytes count as
well, at the lowest rate: half a bit a sample. Speech in AAC has one to three.

https://developer.apple.com/documentation/quicktime-file-format, and for the stream's own description ISO/IEC 14496-1
(`esds`) and 14496-3 (AudioSpecificConfig).
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

MOST_FRAMES = 500_000
_MOST_BOXES = 256
"""In one place, except for the fragments of a file."""
_MOST_FRAGMENTS = 65_536
_SAMPLES = 1024
"""Of a frame."""
_PER_BYTE = 16
"""Samples at the lowest rate."""
_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_AAC = (0x40, 0x66, 0x67, 0x68)
_SIZES = struct.Struct(">4xII")
_ENTRY = {0: 28, 1: 44}  # bytes before the boxes of `mp4a`, by its version
_SIZE_HERE = 0x200  # a fragment's entries have sizes of their own
_OF_A_RUN = (0x1, 0x4)  # fields before a fragment's entries, by their flags
_OF_AN_ENTRY = (0x100, _SIZE_HERE, 0x400, 0x800)
_OF_A_FRAGMENT = ((0x1, 8), (0x2, 4), (0x8, 4))  # before the usual size, with their lengths
_USUAL_SIZE = 0x10
_TABLES = re.compile(rb"moof|trak|stsz|stz2|traf|trun")


@dataclass(slots=True)
class _Track:
    """rate: samples a second. usual: bytes of an entry, for a fragment that does not give them."""

    rate: int
    usual: int = 0
    frames: int = 0
    size: int = 0

    def add(self, frames: int, size: int) -> None:
        self.frames += frames
        self.size += size

    @property
    def length(self) -> Fraction:
        return Fraction(max(self.frames * _SAMPLES, self.size * _PER_BYTE), self.rate)


class _Unknown(Exception):
    """Its length cannot be known."""


def length(data: memoryview) -> Fraction | None:
    """Of all its sound, in seconds, at most. None if it is not MP4, has sound that is not AAC, too many frames, or
    tables in unexpected places. Raises struct.error or IndexError if it ends too early."""
    if bytes(data[4:8]) != b"ftyp":
        return None
    top = [(name, box) for name, box in _boxes(data, _MOST_FRAGMENTS) if name != b"mdat"]
    films, fragments = ([box for name, box in top if name == wanted] for wanted in (b"moov", b"moof"))
    tracks: dict[int, _Track] = {}
    try:
        for film in films:
            _read_film(film, tracks)
        for fragment in fragments:
            _read_fragment(fragment, tracks)
    except _Unknown:
        return None
    if _tables_in(top) != _tables_read(films, fragments):  # FFmpeg finds them in other boxes too
        return None
    if sum(track.frames for track in tracks.values()) > MOST_FRAMES:
        return None
    return sum((track.length for track in tracks.values()), Fraction()) or None


def _tables_in(top: list[tuple[bytes, memoryview]]) -> Counter[bytes]:
    """Every name of a table, or of a box that contains one, wherever it is."""
    found = Counter(bytes(match[0]) for _, box in top for match in _TABLES.finditer(box))
    return found + Counter(name for name, _ in top if _TABLES.fullmatch(name))


def _tables_read(films: list[memoryview], fragments: list[memoryview]) -> Counter[bytes]:
    """The tables in their expected places."""
    tracks = [track for film in films for track in _inside(film, b"trak")]
    parts = [part for fragment in fragments for part in _inside(fragment, b"traf")]
    return Counter(
        {
            b"moof": len(fragments),
            b"trak": len(tracks),
            b"stsz": sum(len(_inside(track, b"mdia", b"minf", b"stbl", b"stsz")) for track in tracks),
            b"traf": len(parts),
            b"trun": sum(len(_inside(part, b"trun")) for part in parts),
        }
    )


def _boxes(data: memoryview, most: int = _MOST_BOXES) -> Iterator[tuple[bytes, memoryview]]:
    """The boxes in it, in order. Raises struct.error for an implausible number."""
    at = 0
    for _ in range(most):
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


def _only(data: memoryview, name: bytes) -> memoryview:
    found = _inside(data, name)
    if len(found) != 1:
        raise _Unknown
    return found[0]


def _read_film(film: memoryview, tracks: dict[int, _Track]) -> None:
    """Read its sound tracks, with the frames in their tables."""
    for track in _inside(film, b"trak"):
        head, media = _only(track, b"tkhd"), _only(track, b"mdia")
        number = _number(head, 20 if head[0] else 12)
        (handler,) = _inside(media, b"hdlr")[:1] or [memoryview(b"")]
        if bytes(handler[8:12]) != b"soun":
            continue
        if number in tracks:
            raise _Unknown
        tracks[number] = _sound(media)
    for usual in _inside(film, b"mvex", b"trex"):
        number = _number(usual, 4)
        if number in tracks:
            tracks[number].usual = max(tracks[number].usual, _number(usual, 16))


def _sound(media: memoryview) -> _Track:
    tables = _inside(media, b"minf", b"stbl")
    sizes, described = ([box for each in tables for box in _inside(each, name)] for name in (b"stsz", b"stsd"))
    rate = _rate(described[0]) if len(sizes) == len(described) == 1 else None
    if rate is None:
        raise _Unknown
    same, count = _SIZES.unpack_from(sizes[0])
    if count > MOST_FRAMES:
        raise _Unknown
    track = _Track(rate)
    track.add(count, same * count or sum(struct.unpack_from(f">{count}I", sizes[0], _SIZES.size)))
    return track


def _read_fragment(fragment: memoryview, tracks: dict[int, _Track]) -> None:
    for part in _inside(fragment, b"traf"):
        head = _only(part, b"tfhd")
        flags, track = _number(head, 0), tracks.get(_number(head, 4))
        if track is None:
            continue
        usual = track.usual
        if flags & _USUAL_SIZE:
            usual = _number(head, 8 + sum(size for flag, size in _OF_A_FRAGMENT if flags & flag))
        for run in _inside(part, b"trun"):
            _read_run(run, track, usual)


def _read_run(run: memoryview, track: _Track, usual: int) -> None:
    """Read a run of entries."""
    flags, count = _number(run, 0), _number(run, 4)
    if track.frames + count > MOST_FRAMES:
        raise _Unknown
    if not flags & _SIZE_HERE:
        track.add(count, usual * count)
        return
    fields = [flag for flag in _OF_AN_ENTRY if flags & flag]
    begin = 8 + 4 * sum(bool(flags & flag) for flag in _OF_A_RUN)
    entry, place = struct.Struct(f">{len(fields)}I"), fields.index(_SIZE_HERE)
    entries = run[begin : begin + count * entry.size]
    if len(entries) < count * entry.size:
        raise struct.error("a table that ends too early")
    track.add(count, sum(numbers[place] for numbers in entry.iter_unpack(entries)))


def _number(data: memoryview, at: int) -> int:
    number: int = struct.unpack_from(">I", data, at)[0]
    return number


def _rate(described: memoryview) -> int | None:
    """The sample rate in the only description of AAC; None if there are others."""
    entries = list(_boxes(described[8:]))
    if [name for name, _ in entries] != [b"mp4a"]:
        return None
    entry = entries[0][1]
    start = _ENTRY.get(entry[8] << 8 | entry[9])
    found = [] if start is None else _inside(entry[start:], b"esds")
    return _own_rate(found[0]) if len(found) == 1 else None


def _own_rate(esds: memoryview) -> int | None:
    """The sample rate that the decoder is given."""
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
    """Where the content of the descriptor at this position begins. Raises IndexError if it has another tag."""
    if esds[at] != tag:
        raise IndexError("another descriptor")
    at += 1
    for _ in range(4):
        at += 1
        if not esds[at - 1] & 0x80:
            break
    return at
