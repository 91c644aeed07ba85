"""FLAC: each frame has a header with a checksum, which says how many samples follow, and how fast.

https://www.rfc-editor.org/rfc/rfc9639
"""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction

MOST_FRAMES = 500_000
_HIGHEST_RATE = 384_000

_BEGIN = re.compile(rb"\xff[\xf8\xf9]")
_BLOCKS = {1: 192, **{code: 144 << code for code in range(2, 6)}, **{code: 1 << code for code in range(8, 16)}}
_RATES = (0, 88200, 176400, 192000, 8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000)
_LONGEST_HEADER = 16


def _checks() -> bytes:
    """CRC-8 of each byte, by x⁸ + x² + x + 1."""
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value << 1 ^ 0x07) & 0xFF if value & 0x80 else value << 1
        table.append(value)
    return bytes(table)


_CHECKS = _checks()


def length(data: memoryview) -> Fraction | None:
    """In seconds, whatever the file says before its frames. None if it is not FLAC, or has too many possible frames.
    Raises IndexError if it ends too early."""
    if bytes(data[:4]) != b"fLaC":
        return None
    rate = data[18] << 12 | data[19] << 4 | data[20] >> 4
    samples: Counter[int] = Counter()
    for count, found in enumerate(_BEGIN.finditer(data, _after_blocks(data))):
        if count == MOST_FRAMES:
            return None
        frame = _frame(bytes(data[found.start() : found.start() + _LONGEST_HEADER]), rate)
        if frame is not None:
            samples[frame[1]] += frame[0]
    if not samples or max(samples) > _HIGHEST_RATE:
        return None
    return sum((Fraction(number, each) for each, number in samples.items()), Fraction())


def _after_blocks(data: memoryview) -> int:
    """Where the first frame begins."""
    at, last = 4, False
    while not last:
        last = bool(data[at] & 0x80)
        at += 4 + (data[at + 1] << 16 | data[at + 2] << 8 | data[at + 3])
    return at


def _frame(head: bytes, rate: int) -> tuple[int, int] | None:
    """(samples, rate); None if it is not a frame. rate: used if the frame does not give one."""
    try:
        block, speed = head[2] >> 4, head[2] & 0x0F
        at = 4 + _number_bytes(head[4])
        samples = _BLOCKS.get(block, 0)
        if block in (6, 7):
            size = block - 5
            samples = int.from_bytes(head[at : at + size], "big") + 1
            at += size
        if speed < len(_RATES):
            rate = _RATES[speed] or rate
        elif speed < 15:
            size, factor = ((1, 1000), (2, 1), (2, 10))[speed - 12]
            rate = int.from_bytes(head[at : at + size], "big") * factor
            at += size
        checked = head[at] == _check(head[:at])
    except IndexError:
        return None
    return (samples, rate) if checked and samples and rate and speed != 15 else None


def _number_bytes(first: int) -> int:
    """The length of a frame's number, which is encoded like a character in UTF-8."""
    return 1 if first < 0x80 else max(8 - (first ^ 0xFF).bit_length(), 1)


def _check(head: bytes) -> int:
    value = 0
    for each in head:
        value = _CHECKS[value ^ each]
    return value
