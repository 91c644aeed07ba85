"""How a provider's list of models continues: the query parameters for its next page, derived from the last one.

Must never: lead to another address, since the request carries a key: only the query of a link is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from yarl import URL

from meshd.sdk.reading import lenient

More = Callable[[bytes], Mapping[str, str]]
"""A page → the parameters of the next one; none if it is the last."""
_LONGEST = 4096  # characters of a token or a link


def after_last(parameter: str) -> More:
    """By `has_more` and the last id, as in OpenAI's and Anthropic's lists; or by Azure's `nextLink`."""

    def more(body: bytes) -> Mapping[str, str]:
        page = _page(body)
        if (link := _text(page.get("nextLink"))) and link.startswith(("https://", "http://", "/")):
            return _query(link)
        data = page.get("data")
        last = data[-1] if isinstance(data, list) and data and isinstance(data[-1], dict) else {}
        id = _text(page.get("last_id")) or _text(last.get("id"))
        return {parameter: id} if page.get("has_more") is True and id else {}

    return more


def by_token(member: str, parameter: str) -> More:
    """By a token, which every page but the last has."""

    def more(body: bytes) -> Mapping[str, str]:
        token = _text(_page(body).get(member))
        return {parameter: token} if token else {}

    return more


def _page(body: bytes) -> dict[str, Any]:
    try:
        page = lenient.decode(body)
    except lenient.NotJSON:
        return {}
    return page if isinstance(page, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= _LONGEST else ""


def _query(link: str) -> Mapping[str, str]:
    try:
        return dict(URL(link).query)
    except ValueError:
        return {}
