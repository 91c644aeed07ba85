"""WebM and Matroska with Opus or Vorbis: blocks of packets in clusters. An Opus packet says in its first bytes how long
it is; a Vorbis packet is at most one block. Times that the file states are not read.

Whatever a player could find counts too. After something broken, FFmpeg looks for the next cluster, which may be inside
an element that is skipped here. So clusters are looked for in there as well, and all bytes that are not blocks of a
known track count at the lowest rate.

https://www.rfc-editor.org/rfc/rfc8794, https://www.rfc-editor.org/rfc/rfc9559
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from meshd.sdk.reading.audio.packets import LEAST_PER_SECOND, OPUS_UNIT, opus_units, vorbis_unit

MOST_PACKETS = 500_000
_MOST_ELEMENTS = 256
"""In one place below a segment or a cluster."""
_LONGEST_PACKET = 48 * 1275 + 256
"""Bytes of Opus, with the sizes of its frames."""

_EBML, _SEGMENT, _TRACKS, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1654AE6B, 0x1F43B675
_TRACK, _NUMBER, _TYPE, _CODEC, _PRIVATE, _ENCODINGS = 0xAE, 0xD7, 0x83, 0x86, 0x63A2, 0x6D80
_SIMPLE_BLOCK, _GROUP, _BLOCK = 0xA3, 0xA0, 0xA1
_BESIDE = frozenset({0xE7, 0xAB, 0xA7, 0xBF, 0x9B, 0xFB, 0x75A2})
"""Numbers in clusters and groups: times, positions, checksums."""
_LARGEST_NUMBER = 8  # bytes
_LONGEST_DESCRIPTION = 8192  # bytes of a track's description, where Vorbis has its codebooks
_SOUND = 2
_BEGIN = re.compile(re.escape(_CLUSTER.to_bytes(4, "big")))


class _Element(NamedTuple):
    """begin, end: of its content; end is None if the element does not give it."""

    id: int
    begin: int
    end: int | None


class _Broken(Exception):
    """It cannot be read."""


class _Track(NamedTuple):
    """unit: seconds of a Vorbis packet, at most; None: it is Opus. sound: False for video."""

    sound: bool
    unit: Fraction | None = None


def length(data: memoryview) -> Fraction | None:
    """Of all its sound, in seconds, at most. None if it is not WebM, has sound in another codec, or too many packets.
    Raises IndexError if it ends too early."""
    if bytes(data[:4]) != _EBML.to_bytes(4, "big"):
        return None
    reading = _Reading(data)
    try:
        reading.read()
    except _Unknown:
        return None
    if not any(track.sound for track in reading.tracks.values()):
        return None
    return reading.spoken() + Fraction(len(data) - reading.known, LEAST_PER_SECOND)


class _Unknown(Exception):
    """Its length cannot be known."""


class _Reading:
    """The state of reading one file. known: bytes of the blocks that were counted, including their headers."""

    def __init__(self, data: memoryview) -> None:
        self.tracks: dict[int, _Track] = {}
        self.known = 0
        self._data = data
        self._units: Counter[int] = Counter()  # of each track's packets
        self._packets = 0
        self._described = False

    def spoken(self) -> Fraction:
        """Seconds of all packets."""
        return sum((units * (self.tracks[track].unit or OPUS_UNIT) for track, units in self._units.items()), Fraction())

    def read(self) -> None:
        """All of it. Raises _Unknown."""
        at, end = 0, len(self._data)
        cluster = end  # where the current one ends
        for _ in range(2 * MOST_PACKETS):
            if at >= end:
                return
            try:
                element = _element(self._data, at)
                cluster = end if at >= cluster else cluster
                if element.id in (_SEGMENT, _CLUSTER):
                    if element.id == _CLUSTER:
                        self.known += element.begin - at
                        cluster = end if element.end is None else element.end
                    at = element.begin
                    continue
                if element.end is None or element.end > min(cluster, end):
                    raise _Broken
                if self._take(element, at):
                    at = element.end
                    continue
                after = self._next_cluster(element.begin, element.end)
                if element.id == _TRACKS and after == element.end:
                    self.known += min(after - at, _LONGEST_DESCRIPTION)
                at = after
            except (_Broken, IndexError):
                at, cluster = self._next_cluster(at + 1, end), end
        raise _Unknown

    def _next_cluster(self, begin: int, end: int) -> int:
        """Where it begins; the end if there is none."""
        found = _BEGIN.search(self._data, begin, end)
        return end if found is None else found.start()

    def _take(self, element: _Element, at: int) -> bool:
        """Whether an element below a segment or a cluster is fully known. Raises _Broken, _Unknown, IndexError."""
        begin, end = element.begin, element.end
        assert end is not None, "it is known"
        if element.id == _TRACKS:
            self._describe(element)
            return False
        if element.id in (_SIMPLE_BLOCK, _GROUP):
            for block in [element] if element.id == _SIMPLE_BLOCK else self._blocks(element):
                self._block(block.begin, block.end or end)
        elif element.id not in _BESIDE or end - begin > _LARGEST_NUMBER:
            return False
        self.known += end - at
        return True

    def _blocks(self, group: _Element) -> list[_Element]:
        """Raises _Broken, IndexError."""
        found = []
        for inner in _inside(self._data, group.begin, group.end or 0):
            if inner.id == _BLOCK:
                found.append(inner)
            elif inner.id not in _BESIDE or (inner.end or 0) - inner.begin > _LARGEST_NUMBER:
                raise _Broken
        return found

    # -- tracks ---------------------------------------------------------------------------------------

    def _describe(self, element: _Element) -> None:
        if self._described:
            raise _Unknown
        self._described = True
        for track in _inside(self._data, element.begin, element.end or 0):
            if track.id == _TRACK:
                number, known = self._track(track)
                if number in self.tracks:
                    raise _Unknown
                self.tracks[number] = known

    def _track(self, element: _Element) -> tuple[int, _Track]:
        said: dict[int, bytes] = {}
        for each in _inside(self._data, element.begin, element.end or 0):
            if each.id in (_NUMBER, _TYPE, _CODEC, _PRIVATE, _ENCODINGS):
                if each.id in said:
                    raise _Unknown
                said[each.id] = bytes(self._data[each.begin : each.end])
        number, kind = (int.from_bytes(said.get(id, b""), "big") for id in (_NUMBER, _TYPE))
        if kind != _SOUND:
            return number, _Track(sound=False)
        codec = said.get(_CODEC, b"").rstrip(b"\0")
        if _ENCODINGS in said or codec not in (b"A_OPUS", b"A_VORBIS"):
            raise _Unknown
        return number, _Track(True, None if codec == b"A_OPUS" else _vorbis(said.get(_PRIVATE, b"")))

    # -- blocks ---------------------------------------------------------------------------------------

    def _block(self, begin: int, end: int) -> None:
        """Raises _Broken, _Unknown, IndexError."""
        number, at = _number(self._data, begin, keep=False)
        track = self.tracks.get(number)
        if track is None or at + 3 > end:
            raise _Broken
        if not track.sound:
            return
        for start, size in _packets(self._data, at + 2, end):
            self._packets += 1
            if self._packets > MOST_PACKETS or (track.unit is None and size > _LONGEST_PACKET):
                raise _Unknown
            if size:
                self._units[number] += opus_units(self._data, start) if track.unit is None else 1


def _vorbis(private: bytes) -> Fraction:
    """Seconds of a packet, by the first of its three headers. Raises _Unknown."""
    try:
        sizes = 1
        for _ in range(2):
            while private[sizes] == 255:
                sizes += 1
            sizes += 1
        unit = vorbis_unit(private[sizes:]) if private[0] == 2 else None
    except (IndexError, struct.error):
        raise _Unknown from None
    if unit is None:
        raise _Unknown
    return unit


# -- the format -------------------------------------------------------------------------------------------


def _number(data: memoryview, at: int, *, keep: bool) -> tuple[int, int]:
    """(a number that contains its own length, where it ends). keep: the length marker is part of the number, as in ids.
    Raises _Broken, IndexError."""
    first = data[at]
    size = 9 - first.bit_length()
    if size > (4 if keep else 8):
        raise _Broken
    if at + size > len(data):
        raise IndexError
    value = int.from_bytes(data[at : at + size], "big")
    return (value if keep else value & (1 << 7 * size) - 1), at + size


def _element(data: memoryview, at: int) -> _Element:
    """Raises _Broken, IndexError."""
    id, after = _number(data, at, keep=True)
    size, begin = _number(data, after, keep=False)
    unknown = size == (1 << 7 * (begin - after)) - 1
    return _Element(id, begin, None if unknown else begin + size)


def _inside(data: memoryview, begin: int, end: int) -> Iterator[_Element]:
    """The elements there, in order. Raises _Broken, IndexError."""
    at = begin
    for _ in range(_MOST_ELEMENTS):
        if at >= end:
            return
        element = _element(data, at)
        if element.end is None or element.end > end:
            raise _Broken
        yield element
        at = element.end
    raise _Broken


def _packets(data: memoryview, at: int, end: int) -> Iterator[tuple[int, int]]:
    """(begin, size) of a block's packets. at: of its flags. Raises _Broken, IndexError."""
    lacing = data[at] >> 1 & 3
    at += 1
    if not lacing:
        yield at, end - at
        return
    count = data[at] + 1
    at += 1
    if lacing == 2:
        if (end - at) % count:
            raise _Broken
        sizes = [(end - at) // count] * count
    else:
        sizes, at = (_xiph_sizes if lacing == 1 else _ebml_sizes)(data, at, count - 1)
        sizes.append(end - at - sum(sizes))
    if min(sizes) < 0:
        raise _Broken
    for size in sizes:
        yield at, size
        at += size


def _xiph_sizes(data: memoryview, at: int, count: int) -> tuple[list[int], int]:
    sizes = []
    for _ in range(count):
        size = 0
        while data[at] == 255:
            size += 255
            at += 1
        sizes.append(size + data[at])
        at += 1
    return sizes, at


def _ebml_sizes(data: memoryview, at: int, count: int) -> tuple[list[int], int]:
    """The first size, then differences."""
    sizes: list[int] = []
    for _ in range(count):
        begin = at
        value, at = _number(data, at, keep=False)
        if sizes:
            value += sizes[-1] - ((1 << 7 * (at - begin) - 1) - 1)
        sizes.append(value)
    return sizes, at
