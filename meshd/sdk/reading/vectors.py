"""Embedding vectors in the packed form of OpenAI's API."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from typing import Any


def packed(vector: Sequence[Any]) -> str:
    """32-bit floats, little-endian, in base64. Raises ValueError for anything but numbers that fit."""
    try:
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    except (struct.error, OverflowError):
        raise ValueError("an embedding is not made of numbers") from None
