"""The usage report of an answer: `usage` of a chat, `meta` of anything else.

Owns: which of its counts is paid for: `billed_units`. `tokens` are what the model got and wrote, which is more than is
billed; they are used if there is nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshd.formats.openai.usage import first_count, within
from meshd.sdk.provider import Usage

_SEARCHES = "searches"


def usage_in(report: object) -> Usage | None:
    """None unless the provider counted something. Prompt tokens that were read from a cache are part of its input."""
    if not isinstance(report, Mapping):
        return None
    billed, counted = _map(report.get("billed_units")), _map(report.get("tokens"))
    asked, said = (first_count(billed.get(name), counted.get(name)) for name in ("input_tokens", "output_tokens"))
    searches = first_count(billed.get("search_units"))
    units = () if searches is None else ((_SEARCHES, within(searches)),)
    if asked is None and said is None and not units:
        return None
    asked, said = within(asked or 0), within(said or 0)
    cached = first_count(report.get("cached_tokens")) or 0
    return Usage(asked, said, min(max(cached, 0), max(asked, 0)), units=units)


def usage_map(usage: Usage) -> dict[str, Any]:
    """In Cohere's names."""
    tokens = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    searches = dict(usage.units).get(_SEARCHES)
    billed = tokens | ({"search_units": searches} if searches else {})
    return {"billed_units": billed, "tokens": tokens, "cached_tokens": usage.cached_tokens}


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
