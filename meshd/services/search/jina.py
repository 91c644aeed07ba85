"""Jina's search: https://s.jina.ai, https://github.com/jina-ai/reader (read 2026-11-28).

Its rerankers and embeddings speak OpenAI's format.
"""

from __future__ import annotations

from typing import Any

from meshd.services.seam import Ask, Asked, Malformed, Service, Steps, objects
from meshd.services.search.query import read, results, row


def search(asked: Asked) -> Steps:
    query = read(asked, lacks=("recency", "safe_search"))
    body: dict[str, Any] = {"q": query.with_sites}
    if query.max_results is not None:
        body["num"] = query.max_results
    if query.country is not None:
        body["gl"] = query.country.lower()
    if query.language is not None:
        body["hl"] = query.language.lower()
    headers = {} if query.content else {"X-Respond-With": "no-content"}
    answer = (yield Ask("POST", json=body, headers=headers, host="search")).object()
    if not isinstance(answer.get("data"), list):
        raise Malformed("without data")
    found = (
        row(
            each.get("title"),
            each.get("url"),
            each.get("description"),
            content=each.get("content"),
            published=each.get("publishedTime") or each.get("date"),
        )
        for each in objects(answer["data"])
    )
    return results(query, found)


JINA = Service({"search": search})
