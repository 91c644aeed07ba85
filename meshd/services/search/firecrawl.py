"""Firecrawl: https://docs.firecrawl.dev/api-reference/endpoint/search (v2, read 2026-11-28).

Ten results cost two credits, which are one search; the text of pages costs a credit each, beyond that.
"""

from __future__ import annotations

from typing import Any

from meshd.services.seam import Ask, Asked, Malformed, Service, Steps, count, objects
from meshd.services.search.query import read, results, row

_CREDITS = 2
"""Of a search."""
_PERIODS = {"day": "qdr:d", "week": "qdr:w", "month": "qdr:m", "year": "qdr:y"}


def search(asked: Asked) -> Steps:
    query = read(asked, lacks=("language", "safe_search"))
    body: dict[str, Any] = {"query": query.with_sites, "sources": ["web"]}
    if query.max_results is not None:
        body["limit"] = query.max_results
    if query.recency is not None:
        body["tbs"] = _PERIODS[query.recency]
    if query.country is not None:
        body["country"] = query.country.upper()
    if query.content:
        body["scrapeOptions"] = {"formats": ["markdown"]}
    answer = (yield Ask("POST", "v2/search", json=body)).object()
    data: Any = answer.get("data")
    listed = data.get("web", []) if isinstance(data, dict) else data  # a list in v1, which others host
    if answer.get("success") is not True or not isinstance(listed, list):
        raise Malformed("without data")
    found = (
        row(each.get("title"), each.get("url"), each.get("description"), content=each.get("markdown"))
        for each in objects(listed)
    )
    credits = count(answer.get("creditsUsed"))
    return results(query, found, searches=1 if credits is None else -(-credits // _CREDITS))


FIRECRAWL = Service({"search": search})
