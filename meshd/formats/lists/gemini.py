"""Google's list of models, in pages.

Source (2026-11-28): https://ai.google.dev/api/models. An SDK asks with `pageSize` and `pageToken`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshd.formats.lists.entry import Entry
from modelmesh.errors import InvalidRequestError

_USUAL = 50
_MOST = 1000
_EMBEDS = "representation.embeddings"


class GeminiList:
    """At a path that other APIs have too, Google's SDKs are recognised by their header."""

    speaks: str | None = "gemini"

    def asked(self, headers: Mapping[str, str], query: Mapping[str, str]) -> bool:
        return "x-goog-api-client" in headers

    def listed(self, entries: list[Entry], query: Mapping[str, str]) -> dict[str, Any]:
        """Raises InvalidRequestError."""
        size = min(_number(query, "pageSize", _USUAL) or _USUAL, _MOST)
        start = _number(query, "pageToken", 0)
        page = [self.one(entry) for entry in entries[start : start + size]]
        more = start + size < len(entries)
        return {"models": page, "nextPageToken": str(start + size)} if more else {"models": page}

    def one(self, entry: Entry) -> dict[str, Any]:
        return _described(entry)


def _described(entry: Entry) -> dict[str, Any]:
    methods = ["generateContent", "streamGenerateContent", "countTokens"]
    if any(capability.startswith(_EMBEDS) for capability in entry.capabilities):
        methods = ["embedContent", "batchEmbedContents"]
    made: dict[str, Any] = {
        "name": f"models/{entry.id}",
        "baseModelId": entry.id,
        "version": "1",
        "displayName": f"{entry.id} ({entry.target})" if entry.kind == "alias" else entry.id,
        "description": f"{entry.kind} of {entry.owner}",
        "supportedGenerationMethods": methods,
    }
    limits = {"inputTokenLimit": entry.context_window, "outputTokenLimit": entry.max_output_tokens}
    made |= {name: limit for name, limit in limits.items() if limit is not None}
    return made | ({"thinking": True} if "reasoning" in entry.features else {})


def _number(query: Mapping[str, str], name: str, usual: int) -> int:
    given = query.get(name)
    if not given:
        return usual
    if not (given.isascii() and given.isdigit() and len(given) < 9):
        raise InvalidRequestError(f"`{name}` has to be one that this API gave, or a number", param=name)
    return int(given)
