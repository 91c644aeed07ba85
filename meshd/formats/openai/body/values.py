"""Reading single values of a body."""

from __future__ import annotations

from typing import Any

import msgspec

from meshd.formats.keeping import Fields
from meshd.sdk.reading.lenient import UNREADABLE
from modelmesh.errors import InvalidRequestError

_decode = msgspec.json.Decoder().decode


def value_of(fields: Fields, name: str) -> Any:
    """None if it is missing. Raises InvalidRequestError, which names it."""
    try:
        return _decode(fields[name]) if name in fields else None
    except UNREADABLE:
        raise InvalidRequestError(f"`{name}` cannot be read", param=name) from None
