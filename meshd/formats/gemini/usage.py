"""The usage report of an answer. Its counts for candidates leave out thoughts, and those for the prompt leave out what
the provider's tools added.

Owns: adding them up, and taking them apart again.
Must never: judge whether a report is plausible (`routing/attempts/usage.py`), or fail on a count of another type.

https://ai.google.dev/api/generate-content#UsageMetadata, 2026-11-28
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshd.core.prices import HEARD, HEARD_CACHED, IMAGES, SPOKEN
from meshd.formats.openai.usage import first_count, within
from meshd.sdk.provider import Usage

Units = tuple[tuple[str, int], ...]


def usage_in(report: object, units: Units = ()) -> Usage | None:
    """`usageMetadata`; None unless the provider counted something. units: what the answer contains besides tokens. The
    provider leaves out counts of 0."""
    if not isinstance(report, Mapping):
        return None
    counts = {name: within(count) for name, told in report.items() if (count := first_count(told)) is not None}
    prompt, total = counts.get("promptTokenCount"), counts.get("totalTokenCount")
    said = counts.get("candidatesTokenCount", counts.get("responseTokenCount"))
    if prompt is None and said is None:
        return None
    thought, read = counts.get("thoughtsTokenCount", 0), counts.get("cachedContentTokenCount", 0)
    output = (said or 0) + max(thought, 0)
    asked = (prompt or 0) + max(counts.get("toolUsePromptTokenCount", 0), 0)
    if said is None and not thought and total is not None and total > asked:
        output = total - asked
    units += _audio(report)
    return Usage(within(asked), within(output), read, None, units, min(max(thought, 0), max(output, 0)))


def _audio(report: Mapping[str, Any]) -> Units:
    """Tokens of audio, 0 included, if the report distinguishes kinds of tokens."""
    heard, again, spoken = (_of_audio(report, f"{name}TokensDetails") for name in ("prompt", "cache", "candidates"))
    counted = [] if heard is None else [(HEARD, within(heard - (again or 0))), (HEARD_CACHED, again or 0)]
    return (*counted, *(() if spoken is None else ((SPOKEN, spoken),)))


def _of_audio(report: Mapping[str, Any], name: str) -> int | None:
    """None: the report does not distinguish kinds."""
    rows = report.get(name)
    if not isinstance(rows, list):
        return None
    heard = (row.get("tokenCount") for row in rows if isinstance(row, dict) and row.get("modality") == "AUDIO")
    return within(sum(within(first_count(told) or 0) for told in heard))


def units_in(candidates: list[dict[str, Any]]) -> Units:
    """Images that the answer contains, and searches that were made for it."""
    images = searches = 0
    for candidate in candidates:
        content, grounding = candidate.get("content"), candidate.get("groundingMetadata")
        parts = content.get("parts") if isinstance(content, dict) else None
        images += sum(map(_is_image, parts)) if isinstance(parts, list) else 0
        queries = grounding.get("webSearchQueries") if isinstance(grounding, dict) else None
        searches += len(queries) if isinstance(queries, list) else 0
    counted = ((IMAGES, images), ("searches", searches))
    return tuple((name, count) for name, count in counted if count)


def _is_image(part: Any) -> bool:
    data = part.get("inlineData") if isinstance(part, dict) and not part.get("thought") else None
    kind = data.get("mimeType") if isinstance(data, dict) else None
    return isinstance(kind, str) and kind.startswith("image/")


def usage_map(usage: Usage) -> dict[str, Any]:
    """In Gemini's names."""
    made = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": max(usage.output_tokens - usage.reasoning_tokens, 0),
        "totalTokenCount": usage.input_tokens + usage.output_tokens,
    }
    if usage.cached_tokens:
        made["cachedContentTokenCount"] = usage.cached_tokens
    if usage.reasoning_tokens:
        made["thoughtsTokenCount"] = usage.reasoning_tokens
    if usage.units:
        made |= _audio_details(usage)
    return made


def _audio_details(usage: Usage) -> dict[str, Any]:
    """Its tokens beside those of text."""
    units = dict(usage.units)
    again, spoken = units.get(HEARD_CACHED, 0), units.get(SPOKEN, 0)
    heard = units.get(HEARD, 0) + again
    sizes = {
        "promptTokensDetails": (usage.input_tokens, heard),
        "cacheTokensDetails": (usage.cached_tokens, again),
        "candidatesTokensDetails": (usage.output_tokens - usage.reasoning_tokens, spoken),
    }
    return {
        name: [
            {"modality": "TEXT", "tokenCount": max(size - audio, 0)},
            {"modality": "AUDIO", "tokenCount": audio},
        ]
        for name, (size, audio) in sizes.items()
        if audio
    }
