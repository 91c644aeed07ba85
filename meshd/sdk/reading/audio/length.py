"""The greatest possible length of a recording.

Owns: which formats are read. A length that a file merely states (Xing, granule positions, STREAMINFO, `mvhd`) could let
an app reserve less than it uses, so none is believed: frames are counted, as a decoder finds them, or bytes.
Must never: decode audio, or guess: the result is None if the frames do not give the length.
"""

from __future__ import annotations

import math
import struct

from meshd.sdk.reading.audio import flac, mp3, mp4, ogg, wav, webm

_FORMATS = (wav, ogg, flac, mp4, webm, mp3)


def seconds_of(data: memoryview) -> int | None:
    """Rounded up; None for an incomplete file, or another format."""
    try:
        lengths = (format.length(data) for format in _FORMATS)
        found = next((each for each in lengths if each is not None), None)
    except (struct.error, IndexError):
        return None
    return None if found is None else math.ceil(found)
