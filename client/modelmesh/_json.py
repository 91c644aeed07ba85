"""JSON as providers write it, beyond the standard's: half a surrogate pair, as JavaScript cuts them, and NaN.

Owns: reading and writing these as the OpenAI SDK does. Must never: be the way of what is plain JSON, but by msgspec.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

_decode = msgspec.json.Decoder().decode


def decode(data: bytes) -> Any:
    """Raises ValueError."""
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        import json  # hardly ever: not for the time it takes to import

        return json.loads(data)


def encode(value: Any, enc_hook: Callable[[Any], Any]) -> bytes:
    try:
        return msgspec.json.encode(value, enc_hook=enc_hook)
    except UnicodeEncodeError:
        import json

        return json.dumps(value, default=enc_hook, separators=(",", ":")).encode()
