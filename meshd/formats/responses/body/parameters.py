"""Changing top-level parameters of a body; the rest of it stays as it came."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

_LIMIT = "max_output_tokens"


def with_output_limit(fields: Mapping[str, msgspec.Raw], limit: int, name: str = _LIMIT) -> Mapping[str, msgspec.Raw]:
    """The body with that output limit, so that the reservation holds. name: the chat's name for the limit that the
    model takes, which has only one name here; "" if it takes none."""
    given = _LIMIT in fields and bytes(fields[_LIMIT]) != b"null"
    return {**fields, _LIMIT: msgspec.Raw(b"%d" % limit)} if given or name else fields
