"""Keys for encryption as people write them."""

from __future__ import annotations

import base64
from collections.abc import Callable

_DECODERS: tuple[Callable[[str], bytes], ...] = (bytes.fromhex, lambda text: base64.b64decode(text, validate=True))


def decoded_key(text: str, size: int) -> bytes | None:
    """The key of `size` bytes in hexadecimal or base64; None if it is neither."""
    for decode in _DECODERS:
        try:
            key = decode(text.strip())
        except ValueError:
            continue
        if len(key) == size:
            return key
    return None
