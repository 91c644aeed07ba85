"""How long the audio of a request is, as far as the mesh can say before it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.sdk.reading.lenient import UNREADABLE

FEWEST_BYTES = 750
"""Bytes of a second of audio if its frames do not give the length: Opus at 6 kbit/s, the lowest rate of speech
codecs."""


def seconds(fields: Mapping[str, msgspec.Raw]) -> dict[str, int]:
    """The most seconds that all files together can have."""
    try:
        told = msgspec.json.decode(fields.get("file", msgspec.Raw(b"null")))
    except UNREADABLE:
        told = None
    return {"seconds": sum(map(_seconds, told if isinstance(told, list) else [told]))}


def _seconds(file: Any) -> int:
    if not isinstance(file, dict):
        return 0
    known, size = file.get("seconds"), file.get("bytes")
    if isinstance(known, int) and known >= 0:
        return known
    return -(-size // FEWEST_BYTES) if isinstance(size, int) and size >= 0 else 0
