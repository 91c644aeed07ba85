"""A conversation without the thoughts that a provider refuses, as it verifies their signatures.

https://ai.google.dev/gemini-api/docs/thought-signatures, 2026-11-28: since Gemini 3, a call without its signature is
refused, so a mark takes its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.formats.gemini.body.values import CONTENTS, value

UNSIGNED = "skip_thought_signature_validator"
"""Takes the place of the signature of a call that another model made, as the documentation's FAQ on signatures says."""
_SIGNATURE = ("thoughtSignature", "thought_signature")
_CALL = ("functionCall", "function_call")


def without_reasoning(fields: Mapping[str, msgspec.Raw]) -> Mapping[str, msgspec.Raw]:
    """The same object if there is nothing to leave out."""
    contents = value(fields, CONTENTS)
    if not isinstance(contents, list):
        return fields
    kept = [left for content in contents if (left := _without_thoughts(content)) is not None]
    return fields if kept == contents else {**fields, "contents": msgspec.Raw(msgspec.json.encode(kept))}


def _without_thoughts(content: Any) -> Any:
    """None if nothing else is in it: an empty content is refused."""
    parts = content.get("parts") if isinstance(content, dict) else None
    if not isinstance(parts, list):
        return content
    kept = [_unsigned(part) for part in parts if not (isinstance(part, dict) and part.get("thought"))]
    kept = [part for part in kept if part != {"text": ""}]
    return {**content, "parts": kept} if kept else None


def _unsigned(part: Any) -> Any:
    if not isinstance(part, dict) or not any(name in part for name in _SIGNATURE):
        return part
    left = {name: each for name, each in part.items() if name not in _SIGNATURE}
    return {**left, _SIGNATURE[0]: UNSIGNED} if any(name in left for name in _CALL) else left
