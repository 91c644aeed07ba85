"""How many images a request asks for."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from meshd.sdk.reading.lenient import UNREADABLE


def images(fields: Mapping[str, msgspec.Raw]) -> dict[str, int]:
    """`images`: `n`, or 1 if the body does not say. `partials`: the partial images of a stream, that many for each
    image."""
    count = max(_number(fields, "n") or 1, 1)
    partial = _number(fields, "partial_images") or 0
    return {"images": count, "partials": count * partial} if partial > 0 else {"images": count}


def _number(fields: Mapping[str, msgspec.Raw], name: str) -> int | None:
    """None for anything but a number, which is refused before this matters."""
    try:
        return msgspec.json.decode(fields.get(name, msgspec.Raw(b"null")), type=int | None)
    except UNREADABLE:
        return None
