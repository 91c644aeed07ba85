"""The usage report of a message. Its `input_tokens` leave out what was read from a cache and written to one.

Owns: adding them up, and taking them apart again.
Must never: judge whether a report is plausible (`routing/attempts/usage.py`), or fail on a count of another type.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshd.core.needs import TIER_FIELD
from meshd.core.prices import tier_of
from meshd.formats.openai.usage import first_count, within
from meshd.sdk.provider import Usage

_READ, _WRITTEN = "cache_read_input_tokens", "cache_creation_input_tokens"
_CREATED, _SHORT, _LASTING = "cache_creation", "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"


def usage_in(report: object, before: Usage | None = None) -> Usage | None:
    """A message's `usage`; None unless the provider counted something. before: an earlier report of the stream, for
    what this one leaves out, since the last one often has only the output."""
    if not isinstance(report, Mapping):
        return before
    fresh, output = _count(report, "input_tokens"), _count(report, "output_tokens")
    read, written = _count(report, _READ), _written(report)
    if fresh is None and output is None:
        return before
    units = _searches(report)
    earlier = before or Usage()
    if fresh is None and read is None and written is None:
        total, cached, kept = earlier.input_tokens, earlier.cached_tokens, earlier.written_tokens
        lasting = earlier.lasting_tokens
    else:
        kept = earlier.written_tokens if written is None else written
        lasting = _lasting(report, kept)
        lasting = earlier.lasting_tokens if lasting is None else lasting
        lasting = None if lasting is None else min(max(lasting, 0), max(kept or 0, 0))
        cached = earlier.cached_tokens if read is None else read
        if fresh is None:
            fresh = max(earlier.input_tokens - earlier.cached_tokens - (earlier.written_tokens or 0), 0)
        total = within(fresh + max(cached, 0) + max(kept or 0, 0)) if fresh >= 0 else fresh
    thought = _inside(report, "output_tokens_details", "thinking_tokens")
    output = earlier.output_tokens if output is None else output
    reasoning = earlier.reasoning_tokens if thought is None else min(max(thought, 0), max(output, 0))
    tier = tier_of(report.get(TIER_FIELD)) or earlier.tier
    return Usage(total, output, cached, kept, units or earlier.units, reasoning, lasting, tier=tier)


def _count(report: Mapping[str, Any], name: str) -> int | None:
    found = first_count(report.get(name))
    return None if found is None else within(found)


def _written(report: Mapping[str, Any]) -> int | None:
    """All tokens written to the cache, for five minutes and for an hour."""
    written = _count(report, _WRITTEN)
    if written is not None:
        return written
    found = [count for name in (_SHORT, _LASTING) if (count := _inside(report, _CREATED, name)) is not None]
    return within(sum(found)) if found else None


def _lasting(report: Mapping[str, Any], written: int | None) -> int | None:
    """The tokens written for an hour; None if they are not reported separately."""
    short, lasting = (_inside(report, _CREATED, name) for name in (_SHORT, _LASTING))
    return (written or 0) - short if lasting is None and short is not None else lasting


def _inside(report: Mapping[str, Any], name: str, member: str) -> int | None:
    details = report.get(name)
    return _count(details, member) if isinstance(details, Mapping) else None


def _searches(report: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    count = _inside(report, "server_tool_use", "web_search_requests")
    return (("searches", count),) if count else ()


def usage_map(usage: Usage) -> dict[str, Any]:
    """In Anthropic's names, each token once."""
    written = usage.written_tokens or 0
    made: dict[str, Any] = {
        "input_tokens": max(usage.input_tokens - usage.cached_tokens - written, 0),
        _WRITTEN: written,
        _READ: usage.cached_tokens,
        "output_tokens": usage.output_tokens,
    }
    if usage.lasting_tokens is not None:
        lasting = min(usage.lasting_tokens, written)
        made[_CREATED] = {_SHORT: written - lasting, _LASTING: lasting}
    if usage.reasoning_tokens:
        made["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    if searches := dict(usage.units).get("searches"):
        made["server_tool_use"] = {"web_search_requests": searches, "web_fetch_requests": 0}
    return made
