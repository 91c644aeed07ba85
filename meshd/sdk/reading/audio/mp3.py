"""MP3: a chain of frames, each of which says in its first four bytes how long it is, in bytes and in samples.

https://www.datavoyage.com/mpgscript/mpeghdr.htm, https://id3.org/id3v2.4.0-structure
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

MOST_FRAMES = 500_000
_MOST_TAGS = 8
_LEAST_PER_SECOND = 1000
"""Bytes: 8 kbit/s, the lowest rate of a frame."""

_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # by version: 1, 2, 2.5
_KBITS_1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


def _frames() -> dict[int, tuple[int, Fraction]]:
    """The second and third byte of a frame → its bytes and seconds. Only Layer III, without free bit rates."""
    found = {}
    for version, rates in _RATES.items():
        samples, kbits = (1152, _KBITS_1) if version == 3 else (576, _KBITS_2)
        for at, rate in enumerate(rates):
            for number, kbit in enumerate(kbits, 1):
                for rest in range(8):  # unprotected, padded, private
                    unprotected, padded, private = rest & 1, rest >> 1 & 1, rest >> 2
                    second = 0xE0 | version << 3 | 1 << 1 | unprotected
                    third = number << 4 | at << 2 | padded << 1 | private
                    size = samples // 8 * kbit * 1000 // rate + padded
                    found[second << 8 | third] = (size, Fraction(samples, rate))
    return found


_FRAMES = _frames()


def length(data: memoryview) -> Fraction | None:
    """In seconds, at most: bytes outside frames count at the lowest rate. None if it is not MP3, or has too many
    frames."""
    start = at = _after_tags(data)
    seen: Counter[int] = Counter()
    for _ in range(MOST_FRAMES):
        if at + 4 > len(data) or data[at] != 0xFF:
            break
        header = data[at + 1] << 8 | data[at + 2]
        if header not in _FRAMES:
            break
        seen[header] += 1
        at += _FRAMES[header][0]
    else:
        return None
    if at == start or (seen.total() == 1 and at < len(data)):  # it only looks like MP3
        return None
    spoken = sum((_FRAMES[header][1] * count for header, count in seen.items()), Fraction())
    return spoken + Fraction(max(len(data) - at, 0), _LEAST_PER_SECOND)


def _after_tags(data: memoryview) -> int:
    """Where the first frame begins: decoders skip tags, which may contain a picture."""
    at = 0
    for _ in range(_MOST_TAGS):
        if at + 10 > len(data) or bytes(data[at : at + 3]) != b"ID3":
            break
        a, b, c, d = (each & 0x7F for each in data[at + 6 : at + 10])
        footer = 10 if data[at + 5] & 0x10 else 0
        at += 10 + (a << 21 | b << 14 | c << 7 | d) + footer
    return at
