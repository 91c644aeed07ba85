"""Changing the output limit of a body; the rest of it stays as it came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

LEAST_THOUGHT = 1024
"""Tokens: the smallest `budget_tokens` that is accepted."""
_DISABLED = msgspec.Raw(b'{"type":"disabled"}')


def with_output_limit(
    fields: Mapping[str, msgspec.Raw], limit: int, name: str = "max_tokens"
) -> Mapping[str, msgspec.Raw]:
    """The body with that output limit, so that the reservation holds. This API has one name for it, and requires it.
    A budget for thinking is a part of it, so it has to be smaller."""
    limited = {**fields, "max_tokens": msgspec.Raw(b"%d" % limit)}
    thinking = _thinking(fields)
    budget = thinking.get("budget_tokens")
    if type(budget) is int and budget >= limit:
        smaller = limit - 1
        limited["thinking"] = _DISABLED
        if smaller >= LEAST_THOUGHT:
            limited["thinking"] = msgspec.Raw(msgspec.json.encode({**thinking, "budget_tokens": smaller}))
    return limited


def _thinking(fields: Mapping[str, msgspec.Raw]) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(fields["thinking"])
    except (KeyError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
