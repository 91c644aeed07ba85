"""Reads Gemini's list of models, and what it says about each.

Owns: the names of its limits and methods. Must never: drop a model because its entry has an unknown field; a list in
another form is read as OpenAI's is.

https://ai.google.dev/api/models, 2026-11-28
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from meshd.core.listed_models import MOST_MODELS, count, is_id
from meshd.formats.openai.models import guess_capabilities
from meshd.formats.openai.models import read_listing as read_any_listing
from meshd.formats.openai.wire import document_of
from meshd.sdk.provider import ModelListing

_PREFIX = "models/"
_EMBEDS = frozenset({"embedContent", "batchEmbedContents", "asyncBatchEmbedContent"})
_GENERATES = "generateContent"
_NO_CHAT = ("tts", "native-audio", "-live", "robotics", "computer-use")


def read_listing(body: bytes) -> list[ModelListing]:
    """Raises Broken."""
    document = document_of(body)[0] if body.lstrip()[:1] == b"{" else {}
    entries = document.get("models")
    if not isinstance(entries, list):
        # An empty page has no list; Vertex has another name for it.
        entries = document.get("publisherModels", [] if document.keys() <= {"nextPageToken"} and document else None)
    if entries is None:
        return read_any_listing(body)
    found: dict[str, ModelListing] = {}
    for entry in entries[:MOST_MODELS]:
        listing = _listing(entry)
        if listing is not None:
            found.setdefault(listing.id, listing)
    return list(found.values())


def read_model(body: bytes) -> ModelListing | None:
    """One model; None if it has no name. Raises Broken."""
    return _listing(document_of(body)[0])


def _listing(entry: Any) -> ModelListing | None:
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(name, str):
        return None
    id = name.rpartition("/")[2] if name.startswith(("publishers/", _PREFIX)) else name
    if not is_id(id):
        return None
    capabilities = _capabilities(id, entry.get("supportedGenerationMethods"))
    listing = ModelListing(id, capabilities, count(entry.get("inputTokenLimit")), count(entry.get("outputTokenLimit")))
    return replace(listing, features=("reasoning",)) if entry.get("thinking") is True else listing


def _capabilities(id: str, methods: Any) -> tuple[str, ...]:
    guessed = guess_capabilities(id)
    if not isinstance(methods, list):
        return guessed
    if _EMBEDS & {method for method in methods if isinstance(method, str)}:
        return ("text-embeddings",)
    if id.startswith("imagen") and "predict" in methods:
        return ("text-to-image",)
    if _GENERATES not in methods or any(word in id for word in _NO_CHAT):
        return ()
    return ("text-to-image",) if id.endswith("-image") or "-image-" in id else ("chat-completion",)
