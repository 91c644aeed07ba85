"""The usage report of a response, in the names of the Responses API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshd.core.needs import TIER_FIELD
from meshd.formats.openai.records import WireUsage
from meshd.formats.openai.usage import in_tier, usage_of
from meshd.sdk.provider import Usage

_COUNTS = {
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
    "total_tokens": "total_tokens",
    "input_tokens_details": "prompt_tokens_details",
    "output_tokens_details": "completion_tokens_details",
}
"""The names here, and the corresponding ones in a chat's report."""


def usage_in(response: Mapping[str, Any]) -> Usage | None:
    """Its report; None unless the provider counted something. A figure of another type is dropped."""
    report = response.get("usage")
    if not isinstance(report, Mapping):
        return None
    usage = usage_of(WireUsage(**{_COUNTS[name]: report[name] for name in _COUNTS if name in report}))
    return in_tier(usage, response.get(TIER_FIELD))


def usage_map(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.written_tokens or 0,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
