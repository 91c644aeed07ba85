"""Reads Cohere's list of models: which endpoints each answers, and what it can do.

Owns: the names of its endpoints and features. Must never: drop a model because its entry has an unknown field.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from meshd.core.listed_models import MOST_MODELS
from meshd.formats.openai.models import read_listing as read_any_listing
from meshd.formats.openai.models import read_model as read_any_model
from meshd.formats.openai.wire import document_of
from meshd.sdk.provider import ModelListing

_CAPABILITIES = {
    "chat": "chat-completion",
    "embed": "text-embeddings",
    "rerank": "reranking",
}
_FEATURES = {
    "tools": "tool_calling",
    "json_schema": "structured_output",
    "json_mode": "json_mode",
    "vision": "vision",
    "reasoning": "reasoning",
    "thinking": "reasoning",
    "logprobs": "logprobs",
}


def read_listing(body: bytes) -> list[ModelListing]:
    """Raises Broken."""
    listed = read_any_listing(body)
    entries = document_of(body)[0].get("models") if body.lstrip()[:1] == b"{" else None
    found = entries[:MOST_MODELS] if isinstance(entries, list) else []
    told = {entry["name"]: entry for entry in found if isinstance(entry, dict) and isinstance(entry.get("name"), str)}
    return [_described(listing, told.get(listing.id, {})) for listing in listed]


def read_model(body: bytes) -> ModelListing | None:
    """One model; None if it has no name. Raises Broken."""
    listing = read_any_model(body)
    return None if listing is None else _described(listing, document_of(body)[0])


def _described(listing: ModelListing, entry: dict[str, Any]) -> ModelListing:
    endpoints, said = _words(entry.get("endpoints")), _words(entry.get("features"))
    features = listing.features
    if said:
        known = [_FEATURES[word] for word in said if word in _FEATURES]
        features = tuple(dict.fromkeys([*known, *(["system_prompt"] if "chat" in endpoints else [])]))
    return replace(
        listing,
        capabilities=tuple(_CAPABILITIES[each] for each in endpoints if each in _CAPABILITIES)
        if endpoints
        else listing.capabilities,
        features=features,
        deprecated=listing.deprecated or entry.get("is_deprecated") is True,
    )


def _words(value: Any) -> list[str]:
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []
