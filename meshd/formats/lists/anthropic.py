"""Anthropic's list of models, in pages.

Sources (2026-11-28): platform.claude.com/docs/en/api/models/list; `ModelInfo` of the package anthropic 2.14.0. Claude
Code asks with `limit=1000`, and shows ids that begin with `claude` or `anthropic`
(code.claude.com/docs/en/llm-gateway-protocol).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshd.formats.lists.entry import Entry
from modelmesh.errors import InvalidRequestError
from modelmesh.wording import short

_USUAL = 20
_MOST = 1000
_UNKNOWN_DATE = "1970-01-01T00:00:00Z"  # as Anthropic writes it


class AnthropicList:
    speaks: str | None = "anthropic"

    def asked(self, headers: Mapping[str, str], query: Mapping[str, str]) -> bool:
        return "anthropic-version" in headers

    def listed(self, entries: list[Entry], query: Mapping[str, str]) -> dict[str, Any]:
        page, more = _page(entries, query)
        return {
            "data": [self.one(entry) for entry in page],
            "has_more": more,
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
        }

    def one(self, entry: Entry) -> dict[str, Any]:
        return {
            "type": "model",
            "id": entry.id,
            "display_name": f"{entry.id} ({entry.target})" if entry.kind == "alias" else entry.id,
            "created_at": _UNKNOWN_DATE,
            "max_input_tokens": entry.context_window,
            "max_tokens": entry.max_output_tokens,
            "capabilities": None,
            "lifecycle": "active",
            "line": None,
            "deprecated_at": None,
            "retires_at": None,
        }


def _page(entries: list[Entry], query: Mapping[str, str]) -> tuple[list[Entry], bool]:
    """The requested page, and whether there are more models in that direction."""
    limit, after, before = _limit(query), query.get("after_id"), query.get("before_id")
    if after is not None and before is not None:
        raise InvalidRequestError("`after_id` and `before_id` cannot be used together", param="before_id")
    if before is not None:
        end = _position(entries, before, "before_id")
        start = max(end - limit, 0)
        return entries[start:end], start > 0
    start = 0 if after is None else _position(entries, after, "after_id") + 1
    return entries[start : start + limit], start + limit < len(entries)


def _limit(query: Mapping[str, str]) -> int:
    given = query.get("limit")
    if given is None:
        return _USUAL
    if not (given.isascii() and given.isdigit() and len(given) < 5 and 1 <= int(given) <= _MOST):
        raise InvalidRequestError(f"`limit` must be from 1 to {_MOST}, not {short(repr(given))}", param="limit")
    return int(given)


def _position(entries: list[Entry], id: str, name: str) -> int:
    found = next((at for at, entry in enumerate(entries) if entry.id == id), None)
    if found is None:
        raise InvalidRequestError(f"`{name}`: no model here is called {short(repr(id))}", param=name)
    return found
