"""The body of a request as it is passed around."""

from __future__ import annotations

import msgspec


def split(body: bytes | str) -> dict[str, msgspec.Raw]:
    """Its top level, each value still raw JSON."""
    return msgspec.json.decode(body, type=dict[str, msgspec.Raw])
