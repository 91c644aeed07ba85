"""How long a recording is at most.

Owns: which formats are read. A length that a file only says (Xing, granule positions, STREAMINFO, `mvhd`) would let an
app reserve less than it uses, so that none of these is read: frames are counted, as a decoder finds them, or bytes.
Must never: decode audio, or guess: None where the frames do not say it.
"""

from __future__ import annotations

import math
import struct

from meshd.sdk.reading.audio import flac, mp3, mp4, ogg, wav, webm

_FORMATS = (wav, ogg, flac, mp4, webm, mp3)


def seconds_of(data: memoryview) -> int | None:
    """Rounded up; None for what is cut off, or of another format."""
    try:
        lengths = (format.length(data) for format in _FORMATS)
        found = next((each for each in lengths if each is not None), None)
    except (struct.error, IndexError):
        return None
    return None if found is None else math.ceil(found)
