"""The output limit of a body, and changing it; the rest of the body stays as it came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.catalogue.known import load_models
from meshd.sdk.reading.lenient import UNREADABLE

LEAST_THOUGHT = 1024
"""Tokens: the smallest `budget_tokens` that is accepted."""
_CATALOGUE = "anthropic.claude.v1"
_OUTPUT_UNKNOWN = 4096
"""Tokens: the output limit that is sent for a request without one to a model that the catalogue does not know."""
_DISABLED = msgspec.Raw(b'{"type":"disabled"}')


def with_output_limit(
    fields: Mapping[str, msgspec.Raw], limit: int, name: str = "max_tokens"
) -> Mapping[str, msgspec.Raw]:
    """The body with that output limit, so that the reservation holds. This API has one name for it, and requires it.
    A thinking budget is a part of it, so it has to be smaller."""
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
    except (KeyError, *UNREADABLE):
        return {}
    return value if isinstance(value, dict) else {}


def largest_output(model: str) -> int:
    """Tokens: the limit of a request that has none; the API requires one. The name may be that of the catalogue's row
    with a date at its end."""
    rows = [row for row in load_models(_CATALOGUE) if row.max_output_tokens and model.startswith(row.id)]
    named = max(rows, key=lambda row: len(row.id), default=None)
    return _OUTPUT_UNKNOWN if named is None or named.max_output_tokens is None else named.max_output_tokens
