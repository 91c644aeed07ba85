"""Packets of Opus and Vorbis, in any container: the greatest possible length of each.

https://www.rfc-editor.org/rfc/rfc6716#section-3.1, https://xiph.org/vorbis/doc/Vorbis_I_spec.html
"""

from __future__ import annotations

import struct
from fractions import Fraction

LEAST_PER_SECOND = 750
"""Bytes: Opus at 6 kbit/s."""
OPUS_UNIT = Fraction(1, 400)
"""Seconds."""

_VORBIS = struct.Struct("<IBIIIIB")
_LONGEST = 48  # of an Opus packet; like everything below, in units of 2.5 ms
_OPUS = (4, 8, 16, 24) * 3 + (4, 8) * 2 + (1, 2, 4, 8) * 4
_HIGHEST_RATE = 384_000


def opus_units(data: memoryview, at: int) -> int:
    """How many `OPUS_UNIT` a packet lasts, by its first bytes; an incomplete one counts as the longest possible."""
    if at + 2 > len(data):
        return _LONGEST
    first = data[at]
    frames = (1, 2, 2, data[at + 1] & 0x3F)[first & 3]
    return min(_OPUS[first >> 3] * frames, _LONGEST)


def vorbis_unit(head: bytes) -> Fraction | None:
    """Seconds of a packet, at most, by the stream's first header; None if that is another header, or not plausible.
    Raises struct.error if it ends too early."""
    if not head.startswith(b"\x01vorbis"):
        return None
    _, _, rate, _, _, _, blocks = _VORBIS.unpack_from(head, 7)
    return Fraction(1 << (blocks >> 4), 2 * rate) if 0 < rate <= _HIGHEST_RATE else None
