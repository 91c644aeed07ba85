"""JSON as servers write it, beyond what the standard allows: read all of it, and write it so that anybody can read it.

Owns: half surrogate pairs (as JavaScript cuts them), NaN, control characters in strings, broken UTF-8, a byte order
mark.
Must never: be the way of what is plain JSON: msgspec reads that, and everything here begins by asking it.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

_STRICT_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class NotJSON(ValueError):
    """It cannot be read, whatever is forgiven."""


def decode(data: bytes) -> Any:
    """Raises NotJSON."""
    try:
        return _decode(data)
    except _STRICT_ERRORS:
        return decode_odd(data)


def decode_odd(data: bytes) -> Any:
    """What msgspec refuses. Raises NotJSON."""
    try:
        return json.loads(data.decode(errors="replace").removeprefix("\ufeff"), strict=False)
    except (ValueError, RecursionError) as error:
        raise NotJSON(str(error)) from None


def encode(value: Any) -> bytes:
    """Half surrogate pairs and NaN are written as they were read."""
    try:
        return _encode(value)
    except (UnicodeEncodeError, ValueError):
        return json.dumps(value, separators=(",", ":")).encode()


def readable(data: bytes, value: Any) -> bytes:
    """`data`, of which `decode_odd` made `value`: unchanged where an OpenAI client can read it, else written again."""
    try:
        json.loads(data.decode())
    except (ValueError, RecursionError):
        return encode(value)
    return data


def plain(value: Any) -> bytes:
    """As JSON that every reader takes: half a surrogate pair is U+FFFD, NaN and infinity are null."""
    return _encode(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if isinstance(value, dict):
        return {well_formed(name): _plain(entry) for name, entry in value.items()}
    return value


def well_formed(text: str) -> str:
    """Text that can be encoded: two halves of a surrogate pair are the character they stand for, one half is U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
