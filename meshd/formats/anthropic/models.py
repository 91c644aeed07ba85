"""Reads Anthropic's list of models, and what it says about each.

Owns: the names of its limits and capabilities. Must never: drop a model because its entry has an unknown field; a list
in another form is read as OpenAI's is.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from meshd.core.listed_models import MOST_MODELS, count
from meshd.formats.openai.models import read_listing as read_any_listing
from meshd.formats.openai.models import read_model as read_any_model
from meshd.formats.openai.wire import document_of
from meshd.sdk.provider import ModelListing

_FEATURES = {"image_input": "vision", "structured_outputs": "structured_output", "thinking": "reasoning"}
_ALL_HAVE = ("tool_calling", "system_prompt")


def read_listing(body: bytes) -> list[ModelListing]:
    """Raises Broken."""
    listed = read_any_listing(body)
    entries = document_of(body)[0].get("data") if body.lstrip()[:1] == b"{" else None
    told = {entry.get("id"): entry for entry in _maps(entries)} if isinstance(entries, list) else {}
    return [_described(listing, told.get(listing.id, {})) for listing in listed]


def read_model(body: bytes) -> ModelListing | None:
    """One model; None if it has no id. Raises Broken."""
    listing = read_any_model(body)
    return None if listing is None else _described(listing, document_of(body)[0])


def _maps(entries: list[Any]) -> list[dict[str, Any]]:
    return [entry for entry in entries[:MOST_MODELS] if isinstance(entry, dict) and isinstance(entry.get("id"), str)]


def _described(listing: ModelListing, entry: dict[str, Any]) -> ModelListing:
    said = entry.get("capabilities")
    features = listing.features
    if isinstance(said, dict) and any(isinstance(each, dict) for each in said.values()):
        known = [feature for name, feature in _FEATURES.items() if _is_supported(said.get(name))]
        features = (*_ALL_HAVE, *known)
    return replace(
        listing,
        context_window=listing.context_window or count(entry.get("max_input_tokens")),
        max_output_tokens=listing.max_output_tokens or count(entry.get("max_tokens")),
        features=features,
    )


def _is_supported(capability: Any) -> bool:
    return isinstance(capability, dict) and capability.get("supported") is True
