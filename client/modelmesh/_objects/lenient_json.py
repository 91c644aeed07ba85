"""JSON as providers write it, beyond the standard: halves of surrogate pairs, as JavaScript leaves them, NaN, and
numbers that are too large.

Owns: reading and writing these as the OpenAI SDK does. Must never: read plain JSON with anything but msgspec.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

_MOST_DIGITS = 4000
_decode = msgspec.json.Decoder().decode


def decode(data: bytes) -> Any:
    """Raises ValueError."""
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        import json  # rarely needed, and slow to import

        try:
            return json.loads(data, parse_int=_whole)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None


def _whole(digits: str) -> int | float:
    """Python refuses numbers with very many digits; they become infinite."""
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


def encode(value: Any, enc_hook: Callable[[Any], Any]) -> bytes:
    try:
        return msgspec.json.encode(value, enc_hook=enc_hook)
    except (UnicodeEncodeError, OverflowError):
        import json

        return json.dumps(value, default=enc_hook, separators=(",", ":")).encode()
