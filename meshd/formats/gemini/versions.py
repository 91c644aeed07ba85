"""What Gemini's versions accept, by the version in a model's name.

Owns: reading a version from a name, and which version changed what. Other names (Gemma) belong to other families.

Sources (2026-11-28): https://ai.google.dev/gemini-api/docs/thinking (levels since Gemini 3, budgets before),
https://ai.google.dev/gemini-api/docs/thought-signatures (required since Gemini 3),
https://ai.google.dev/gemini-api/docs/function-calling (images in a function's response since Gemini 3).
"""

from __future__ import annotations

import functools
import re

_GEMINI = re.compile(r"gemini-(\d{1,2})(?:\.(\d{1,2}))?(?![\d.])")
_LONGEST = 200  # characters
_NEWEST = (999, 0)  # a Gemini without a version, such as `gemini-flash-latest`
_LEVELS = (3, 0)


def version_of(model: str) -> tuple[int, int] | None:
    """`gemini-3.5-flash`, `models/gemini-2.5-pro-002`; None for another model."""
    return _version_of(model[:_LONGEST].lower())


@functools.lru_cache(256)
def _version_of(name: str) -> tuple[int, int] | None:
    found = _GEMINI.search(name)
    if found is not None:
        return int(found[1]), int(found[2] or 0)
    return _NEWEST if "gemini" in name else None


def thinks_by_level(model: str) -> bool:
    """Whether it is asked to think by a level; otherwise by a budget of tokens."""
    return _since(model, _LEVELS)


def thinks_least(model: str) -> str:
    """The lowest level of thinking; the larger models have no `minimal`."""
    return "low" if "pro" in model.lower() else "minimal"


def needs_signatures(model: str) -> bool:
    """Whether it refuses a call without a signature."""
    return _since(model, _LEVELS)


def shows_results(model: str) -> bool:
    """Whether the result of a function may have images."""
    return _since(model, _LEVELS)


def _since(model: str, version: tuple[int, int]) -> bool:
    found = version_of(model)
    return found is not None and found >= version
