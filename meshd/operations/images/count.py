"""How many images a request asks for."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


def images(fields: Mapping[str, msgspec.Raw]) -> dict[str, int]:
    """One if the body does not say, and the partial ones of a stream: so many of each."""
    count = max(_number(fields, "n") or 1, 1)
    partial = _number(fields, "partial_images") or 0
    return {"images": count, "partials": count * partial} if partial > 0 else {"images": count}


def _number(fields: Mapping[str, msgspec.Raw], name: str) -> int | None:
    """What is not a number is refused before it is counted."""
    try:
        return msgspec.json.decode(fields.get(name, msgspec.Raw(b"null")), type=int | None)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
