"""Serper, Google's results: https://serper.dev, `/search` of its playground (read 2026-11-28)."""

from __future__ import annotations

from typing import Any

from meshd.services.seam import Ask, Asked, Malformed, Service, Steps, count, objects
from meshd.services.search.query import read, results, row

_PERIODS = {"day": "qdr:d", "week": "qdr:w", "month": "qdr:m", "year": "qdr:y"}


def search(asked: Asked) -> Steps:
    query = read(asked, lacks=("content", "safe_search"))
    body: dict[str, Any] = {"q": query.with_sites}
    if query.max_results is not None:
        body["num"] = query.max_results
    if query.recency is not None:
        body["tbs"] = _PERIODS[query.recency]
    if query.country is not None:
        body["gl"] = query.country.lower()
    if query.language is not None:
        body["hl"] = query.language.lower()
    answer = (yield Ask("POST", "search", json=body)).object()
    if not isinstance(answer.get("organic"), list):
        raise Malformed("without organic results")
    found = (
        row(each.get("title"), each.get("link"), each.get("snippet"), published=each.get("date"))
        for each in objects(answer["organic"])
    )
    credits = count(answer.get("credits"))
    return results(query, found, searches=1 if credits is None else credits)


SERPER = Service({"search": search})
