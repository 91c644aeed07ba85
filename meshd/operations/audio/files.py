"""How long the audio of a request is, as far as the mesh can say before it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

FEWEST_BYTES = 750
"""In a second of audio, where its frames do not say: Opus at 6 kbit/s, the least that codecs of speech use."""


def seconds(fields: Mapping[str, msgspec.Raw]) -> dict[str, int]:
    """At most, of all files."""
    try:
        told = msgspec.json.decode(fields.get("file", msgspec.Raw(b"null")))
    except (msgspec.DecodeError, UnicodeDecodeError):
        told = None
    return {"seconds": sum(map(_seconds, told if isinstance(told, list) else [told]))}


def _seconds(file: Any) -> int:
    if not isinstance(file, dict):
        return 0
    known, size = file.get("seconds"), file.get("bytes")
    if isinstance(known, int) and known >= 0:
        return known
    return -(-size // FEWEST_BYTES) if isinstance(size, int) and size >= 0 else 0
