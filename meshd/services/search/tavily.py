"""Tavily: https://docs.tavily.com/documentation/api-reference/endpoint/search (read 2026-11-28).

The model is the depth: `search` is its basic search, `search-advanced` its advanced one, which costs twice as much.
"""

from __future__ import annotations

from typing import Any

from meshd.services.seam import Ask, Asked, Malformed, Service, Steps, cannot, objects
from meshd.services.search.countries import NAMES
from meshd.services.search.query import read, results, row

_MOST = 20


def search(asked: Asked) -> Steps:
    query = read(asked, lacks=("language",))
    body: dict[str, Any] = {"query": query.query, "search_depth": asked.model.partition("search-")[2] or "basic"}
    if query.max_results is not None:
        body["max_results"] = min(query.max_results, _MOST)
    if query.domains:
        body["include_domains"] = query.domains
    if query.exclude_domains:
        body["exclude_domains"] = query.exclude_domains
    if query.recency is not None:
        body["time_range"] = query.recency
    if query.country is not None:
        if (name := NAMES.get(query.country.upper())) is None:
            raise cannot("country", f"and it knows no {query.country}")
        body["country"] = name
    if query.content:
        body["include_raw_content"] = "markdown"
    if query.safe_search is not None:
        body["safe_search"] = query.safe_search
    answer = (yield Ask("POST", "search", json=body)).object()
    if not isinstance(answer.get("results"), list):
        raise Malformed("without results")
    found = (
        row(
            each.get("title"),
            each.get("url"),
            each.get("content"),
            content=each.get("raw_content"),
            score=each.get("score"),
            published=each.get("published_date"),
        )
        for each in objects(answer["results"])
    )
    return results(query, found)


TAVILY = Service({"search": search})
