"""How many images a request asks for."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


def images(fields: Mapping[str, msgspec.Raw]) -> dict[str, int]:
    """One if the body does not say. What is not a number is refused before it is counted."""
    try:
        asked = msgspec.json.decode(fields.get("n", msgspec.Raw(b"1")), type=int | None)
    except (msgspec.DecodeError, UnicodeDecodeError):
        asked = None
    return {"images": max(asked or 1, 1)}
