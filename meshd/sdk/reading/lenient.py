"""JSON as servers write it, even beyond the standard: reads all of it, and writes what every reader can read.

Owns: half surrogate pairs (as JavaScript cuts them), NaN, numbers that are too large, control characters in strings,
broken UTF-8, a byte order mark, UTF-16 and UTF-32.
Must never: slow down plain JSON: everything here tries msgspec first.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

_MOST_DIGITS = 4000
_MOST_WRITTEN = 2**63 - 1
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

UNREADABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What msgspec raises for what is not JSON, or not as it should be."""


class NotJSON(ValueError):
    """It cannot be read even leniently."""


def decode(data: bytes) -> Any:
    """Raises NotJSON."""
    try:
        return _decode(data)
    except UNREADABLE:
        return decode_odd(data)


def decode_odd(data: bytes) -> Any:
    """Read what msgspec refuses. Raises NotJSON."""
    try:
        text = data.decode(json.detect_encoding(data), errors="replace")
        return json.loads(text.removeprefix("\ufeff"), strict=False, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        raise NotJSON(str(error)) from None


def _whole(digits: str) -> int | float:
    """Python refuses numbers with very many digits; they become infinite."""
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


def encode(value: Any) -> bytes:
    """As JSON, with half surrogate pairs as they were read."""
    try:
        return _encode(value)
    except (UnicodeEncodeError, OverflowError, ValueError):
        return json.dumps(value, separators=(",", ":")).encode()


def readable(data: bytes, value: Any) -> bytes:
    """`data`, from which `decode_odd` made `value`: unchanged if an OpenAI client can read it, else rewritten."""
    try:
        json.loads(data.decode())
    except (ValueError, RecursionError):
        return encode(value)
    return data


def plain(value: Any) -> bytes:
    """As JSON for every reader: half a surrogate pair becomes U+FFFD; NaN, infinity and numbers beyond 64 bits become
    null."""
    return _encode(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, int):
        return value if -_MOST_WRITTEN <= value <= _MOST_WRITTEN else None
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if isinstance(value, dict):
        return {well_formed(name): _plain(entry) for name, entry in value.items()}
    return value


def well_formed(text: str) -> str:
    """Text that can be encoded: two halves of a surrogate pair become their character, a single half U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


_HALF = re.compile(
    rb"\\u[dD](?:[89abAB]..(?!\\u[dD][c-fC-F])|[c-fC-F]..(?<!\\u[dD][89abAB]..\\u[dD][c-fC-F]..))", re.DOTALL
)


def whole(data: bytes) -> bytes:
    """For reading only: JSON of the same length with U+FFFD for each half surrogate pair. The same object if there are
    none."""
    if _HALF.search(data) is None:
        return data  # the usual case
    return _ESCAPE.sub(lambda escape: b"\\ufffd" if escape[1] else escape[0], data)


def members(data: bytes) -> dict[str, bytes]:
    """The top level of an object, each value as the bytes that were sent. Raises NotJSON."""
    try:
        text = data.decode()
        return _members(text)
    except (ValueError, RecursionError, IndexError) as error:
        raise NotJSON(str(error)) from None


def _members(text: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    at = _past_blanks(text, 0)
    if text[at] != "{":
        raise ValueError("it is not an object")
    at = _past_blanks(text, at + 1)
    while text[at] != "}" or found:
        name, at = _value(text, at)
        at = _past_blanks(text, at)
        if not isinstance(name, str) or text[at] != ":":
            raise ValueError(f"a name and a colon are expected at character {at}")
        begin = _past_blanks(text, at + 1)
        _, at = _value(text, begin)
        found[name] = text[begin:at].encode()
        at = _past_blanks(text, at)
        if text[at] == "}":
            break
        if text[at] != ",":
            raise ValueError(f"a comma is expected at character {at}")
        at = _past_blanks(text, at + 1)
    if _past_blanks(text, at + 1) != len(text):
        raise ValueError("there is data after the object")
    return found


def _past_blanks(text: str, at: int) -> int:
    while text[at : at + 1] in _BLANKS:
        at += 1
    return at


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_BLANKS = frozenset(" \t\r\n")
_value = json.JSONDecoder(parse_constant=_no_number).raw_decode
