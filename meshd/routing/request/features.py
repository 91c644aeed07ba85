"""The features that a request can use, which of them it uses, and how long a model's refusal of one counts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from meshd.core.needs import RequestNeeds

CALLED: Mapping[str, str] = {
    "tool_calling": "tools",
    "structured_output": "JSON schemas",
    "json_mode": "JSON mode",
    "vision": "images",
    "logprobs": "log probabilities",
}
"""The features that a request can use, and their names for people."""

REMEMBERED = 3600.0
"""Seconds that a refusal is remembered: a server may have been restarted with what it lacked."""

_NO_MOMENT = 1e12  # UTC s
_NOTHING: Final[tuple[str, ...]] = ()


def used(needs: RequestNeeds) -> tuple[str, ...]:
    """The features that the request uses; a plain chat uses none."""
    if not (needs.tools or needs.structured or needs.json_mode or needs.images or needs.logprobs):
        return _NOTHING
    return _used(needs.tools, needs.structured, needs.json_mode, needs.images > 0, needs.logprobs)


@cache
def _used(*uses: bool) -> tuple[str, ...]:
    """In the order of `CALLED`."""
    return tuple(name for name, does in zip(CALLED, uses, strict=True) if does)


def load_refused(saved: object, now: float) -> dict[str, float]:
    """When each feature was refused, as it was dumped, or edited by hand: times ahead of now count as now."""
    if not isinstance(saved, Mapping):
        return {}
    moments = {name: saved.get(name) for name in CALLED}
    return {
        name: min(float(at), now)
        for name, at in moments.items()
        if isinstance(at, int | float) and not isinstance(at, bool) and now - REMEMBERED < at < _NO_MOMENT
    }
