"""WAV: a header says how many bytes of samples make up a second."""

from __future__ import annotations

import struct
from fractions import Fraction

_CHUNK = struct.Struct("<4sI")
_FORMAT = struct.Struct("<HHIIHH")
_PLAIN = (1, 3, 6, 7)  # PCM, as numbers and as floats; A-law, µ-law
_MOST_CHUNKS = 64
_MOST_PER_SECOND = 384_000 * 8 * 8
"""Bytes: 8 channels of 64 bits at the highest rate that sound is recorded with."""


def length(data: memoryview) -> Fraction | None:
    """In seconds, at most: all bytes of the file may be samples, whatever number its header gives. None if it is not
    plain WAV. Raises struct.error if it ends too early."""
    if bytes(data[:4]) != b"RIFF" or bytes(data[8:12]) != b"WAVE":
        return None
    at = 12
    for _ in range(_MOST_CHUNKS):
        name, size = _CHUNK.unpack_from(data, at)
        at += _CHUNK.size
        if name == b"fmt ":
            kind, channels, rate, _, _, bits = _FORMAT.unpack_from(data, at)
            per_second = rate * channels * bits // 8
            plain = kind in _PLAIN and 0 < per_second <= _MOST_PER_SECOND
            return Fraction(len(data), per_second) if plain else None
        at += size + size % 2
    return None
