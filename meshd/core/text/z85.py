"""Z85, in which ZeroMQ's programs write keys: 40 characters for 32 bytes.

Source: https://rfc.zeromq.org/spec/32/.
"""

from __future__ import annotations

from typing import Final

KEY_LENGTH: Final = 40  # characters of a key
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_VALUES: Final = {digit: value for value, digit in enumerate(_DIGITS)}


def decode_key(text: str) -> bytes:
    """The 32 bytes of a key. Raises ValueError, whose text does not repeat the key."""
    if len(text) != KEY_LENGTH or not _VALUES.keys() >= set(text):
        raise ValueError(f"expected a CURVE key: {KEY_LENGTH} characters of Z85")
    found = b""
    for at in range(0, KEY_LENGTH, 5):
        number = 0
        for digit in text[at : at + 5]:
            number = number * 85 + _VALUES[digit]
        if number >> 32:
            raise ValueError("expected a CURVE key in Z85: a part of it is too large")
        found += number.to_bytes(4)
    return found


def encode_key(key: bytes) -> str:
    """32 bytes, as text."""
    digits = []
    for at in range(0, len(key), 4):
        number = int.from_bytes(key[at : at + 4])
        digits += [_DIGITS[number // 85**place % 85] for place in (4, 3, 2, 1, 0)]
    return "".join(digits)
