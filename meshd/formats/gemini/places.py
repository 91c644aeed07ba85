"""The places of a candidate's citations, which count bytes of its text.

Owns: where they are in `groundingMetadata` and `citationMetadata`. Loaded when a stream is continued.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KEYS = ("groundingMetadata", "citationMetadata")


def cited_in(candidate: Mapping[str, Any]) -> dict[str, Any]:
    """Its fields that cite something."""
    return {name: candidate[name] for name in KEYS if isinstance(candidate.get(name), dict)}


def moved(cited: Mapping[str, Any], by: int) -> dict[str, Any]:
    """The same fields, that many bytes later in the text."""
    found: dict[str, Any] = {}
    for name, said in cited.items():
        found[name] = {key: _listed(value, by) if isinstance(value, list) else value for key, value in said.items()}
    return found


def _listed(entries: list[Any], by: int) -> list[Any]:
    return [_entry(each, by) if isinstance(each, dict) else each for each in entries]


def _entry(entry: dict[str, Any], by: int) -> dict[str, Any]:
    """A support, whose places are those of its segment, or a source."""
    segment = entry.get("segment")
    return {**entry, "segment": _placed(segment, by)} if isinstance(segment, dict) else _placed(entry, by)


def _placed(said: dict[str, Any], by: int) -> dict[str, Any]:
    """A start at the beginning may be left out; without an end, there is no place."""
    if type(said.get("endIndex")) is not int:
        return said
    starts = said.get("startIndex", 0)
    return {**said, "endIndex": said["endIndex"] + by} | ({"startIndex": starts + by} if type(starts) is int else {})
