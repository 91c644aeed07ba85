"""Bing Web Search v7: https://learn.microsoft.com/bing/search-apis/bing-web-search/reference/ (read 2026-11-28).

Microsoft sells it no more since 2025-08-11; resources that it keeps for customers, and proxies, still answer.
"""

from __future__ import annotations

from typing import Any

from meshd.services.seam import Ask, Asked, Malformed, Service, Steps, cannot, objects
from meshd.services.search.query import read, results, row

_MOST = 50
_PERIODS = {"day": "Day", "week": "Week", "month": "Month"}


def search(asked: Asked) -> Steps:
    query = read(asked, lacks=("content",))
    fields: dict[str, str | int] = {"q": query.with_sites, "responseFilter": "Webpages"}
    if query.max_results is not None:
        fields["count"] = min(query.max_results, _MOST)
    if query.recency is not None:
        fields["freshness"] = _PERIODS.get(query.recency, "")
        if not fields["freshness"]:
            raise cannot("recency", f"and it knows no {query.recency}")
    if query.country is not None:
        fields["cc"] = query.country.upper()
    if query.language is not None:
        fields["setLang"] = query.language
    if query.safe_search is not None:
        fields["safeSearch"] = "Strict" if query.safe_search else "Off"
    answer = (yield Ask("GET", "search", fields)).object()
    if answer.get("_type") != "SearchResponse":
        raise Malformed("without a SearchResponse")
    pages: Any = answer.get("webPages")  # absent if nothing is found
    found = (
        row(each.get("name"), each.get("url"), each.get("snippet"), published=each.get("datePublished"))
        for each in objects(pages.get("value") if isinstance(pages, dict) else None)
    )
    return results(query, found)


BING = Service({"search": search})
