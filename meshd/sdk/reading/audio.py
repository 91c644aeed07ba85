"""How long a recording is, by its own header.

Must never: decode audio, or guess: None where the header does not say it.
"""

from __future__ import annotations

import math
import struct

_CHUNK = struct.Struct("<4sI")
_FORMAT = struct.Struct("<HHIIHH")
_PLAIN = (1, 3)  # PCM, as numbers and as floats
_MOST_CHUNKS = 64


def seconds_of(data: memoryview) -> int | None:
    """Rounded up, of a WAV file of plain samples; None for any other file. A decoder reads the same header."""
    if len(data) < 12 or bytes(data[:4]) != b"RIFF" or bytes(data[8:12]) != b"WAVE":
        return None
    at = 12
    for _ in range(_MOST_CHUNKS):
        if at + _CHUNK.size + _FORMAT.size > len(data):
            return None
        name, size = _CHUNK.unpack_from(data, at)
        at += _CHUNK.size
        if name == b"fmt " and size >= _FORMAT.size:
            kind, channels, rate, _, _, bits = _FORMAT.unpack_from(data, at)
            per_second = rate * channels * bits // 8
            # All bytes of the file may be samples, whatever its header says of their number.
            return math.ceil(len(data) / per_second) if kind in _PLAIN and per_second else None
        at += size + size % 2
    return None
