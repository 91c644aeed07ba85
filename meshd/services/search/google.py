"""Google's Programmable Search: https://developers.google.com/custom-search/v1/reference/rest/v1/cse/list (read
2026-11-28). A request gives ten results at most, so that more take several, each of which is billed.
"""

from __future__ import annotations

from typing import Any

from meshd.services.seam import Ask, Asked, Service, Steps, objects
from meshd.services.search.query import MOST_RESULTS, read, results, row

_A_PAGE = 10
_PERIODS = {"day": "d1", "week": "w1", "month": "m1", "year": "y1"}


def search(asked: Asked) -> Steps:
    query = read(asked, lacks=("content",))
    wanted = min(query.max_results or _A_PAGE, MOST_RESULTS)
    fields: dict[str, str | int] = {"q": query.with_sites}
    if query.recency is not None:
        fields["dateRestrict"] = _PERIODS[query.recency]
    if query.country is not None:
        fields["gl"] = query.country.lower()
    if query.language is not None:
        fields["lr"] = f"lang_{query.language}"
    if query.safe_search is not None:
        fields["safe"] = "active" if query.safe_search else "off"
    found: list[dict[str, Any]] = []
    searches = 0
    while len(found) < wanted:
        page = min(wanted - len(found), _A_PAGE)
        told = yield Ask("GET", "customsearch/v1", {**fields, "num": page, "start": searches * _A_PAGE + 1})
        searches += 1
        items = objects(told.object().get("items"))  # none if nothing is found
        found += [_row(item) for item in items]
        if len(items) < page:
            break
    return results(query, found, searches=searches)


def _row(item: dict[str, Any]) -> dict[str, Any]:
    page = item.get("pagemap")
    tags = objects(page.get("metatags")) if isinstance(page, dict) else []
    published = tags[0].get("article:published_time") if tags else None  # what the page says of itself
    return row(item.get("title"), item.get("link"), item.get("snippet"), published=published)


GOOGLE_SEARCH = Service({"search": search})
