"""SearXNG, on a server of one's own: https://docs.searxng.org/dev/search_api.html (read 2026-11-28).

The server has to allow the format `json` (`search.formats` of its settings); it answers 403 otherwise.
"""

from __future__ import annotations

from meshd.sdk.calls.failure import FailureKind
from meshd.services.seam import Ask, Asked, Malformed, Service, Steps, failed, objects
from meshd.services.search.query import read, results, row


def search(asked: Asked) -> Steps:
    query = read(asked, lacks=("country", "content"))
    fields: dict[str, str | int] = {"q": query.with_sites, "format": "json"}
    if query.recency is not None:
        fields["time_range"] = query.recency
    if query.language is not None:
        fields["language"] = query.language
    if query.safe_search is not None:
        fields["safesearch"] = 2 if query.safe_search else 0
    answer = (yield Ask("GET", "search", fields)).object()
    if not isinstance(answer.get("results"), list):
        raise Malformed("without results")
    if not answer["results"] and answer.get("unresponsive_engines"):
        raise failed("none of its search engines responds", FailureKind.SERVER)
    found = (
        row(
            each.get("title"),
            each.get("url"),
            each.get("content"),
            score=each.get("score"),
            published=each.get("publishedDate"),
        )
        for each in objects(answer["results"])
    )
    return results(query, found)


SEARXNG = Service({"search": search})
