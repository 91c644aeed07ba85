"""The usage report of an answer. Its `inputTokens` leave out what was read from a cache and written to one.

Owns: adding them up. Must never: judge whether a report is plausible (`routing/attempts/usage.py`), or fail on a count
of another type.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html, 2026-11-28
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshd.formats.openai.usage import first_count, within
from meshd.sdk.provider import Usage


def usage_in(report: object) -> Usage | None:
    """An answer's `usage`; None unless the provider counted something."""
    if not isinstance(report, Mapping):
        return None
    fresh, output = first_count(report.get("inputTokens")), first_count(report.get("outputTokens"))
    if fresh is None and output is None:
        return None
    read, written = first_count(report.get("cacheReadInputTokens")), first_count(report.get("cacheWriteInputTokens"))
    fresh, cached, kept = within(fresh or 0), within(max(read or 0, 0)), within(max(written or 0, 0))
    total = within(fresh + cached + kept) if fresh >= 0 else fresh
    lasting = _lasting(report.get("cacheDetails"))
    return Usage(
        total,
        within(output or 0),
        cached,
        None if written is None else kept,
        lasting_tokens=None if lasting is None else min(lasting, kept),
    )


def _lasting(details: Any) -> int | None:
    """The tokens written for an hour; None if they are not reported separately."""
    if not isinstance(details, list):
        return None
    told = [each for each in details[:16] if isinstance(each, Mapping)]
    counts = [first_count(each.get("inputTokens")) or 0 for each in told if each.get("ttl") == "1h"]
    return within(sum(max(count, 0) for count in counts)) if told else None
