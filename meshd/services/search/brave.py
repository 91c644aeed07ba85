"""Brave Search: https://api-dashboard.search.brave.com/app/documentation/web-search/query (read 2026-11-28).

A request gives twenty results at most, so that more take several, each of which is billed.
"""

from __future__ import annotations

from typing import Any

from meshd.services.seam import Ask, Asked, Malformed, Service, Steps, objects, text
from meshd.services.search.query import read, results, row

_A_PAGE = 20
_PERIODS = {"day": "pd", "week": "pw", "month": "pm", "year": "py"}


def search(asked: Asked) -> Steps:
    query = read(asked, lacks=("content",))
    fields: dict[str, str | int] = {"q": query.with_sites, "result_filter": "web", "text_decorations": "false"}
    if query.recency is not None:
        fields["freshness"] = _PERIODS[query.recency]
    if query.country is not None:
        fields["country"] = query.country.upper()
    if query.language is not None:
        fields["search_lang"] = query.language.lower()
    if query.safe_search is not None:
        fields["safesearch"] = "strict" if query.safe_search else "off"
    wanted = query.max_results or _A_PAGE
    found: list[dict[str, Any]] = []
    searches = 0
    while len(found) < wanted:
        page = min(wanted, _A_PAGE)  # the offset counts pages of that many
        answer = (yield Ask("GET", "web/search", {**fields, "count": page, "offset": searches})).object()
        if answer.get("type") != "search":
            raise Malformed("without a search")
        searches += 1
        web: Any = answer.get("web")  # absent if nothing is found
        listed = objects(web.get("results") if isinstance(web, dict) else None)
        found += [_row(each) for each in listed]
        if len(listed) < page:
            break
    return results(query, found, searches=searches)


def _row(each: dict[str, Any]) -> dict[str, Any]:
    extra = each.get("extra_snippets")
    said = [text(each.get("description")), *(map(text, extra) if isinstance(extra, list) else ())]
    snippet = "\n".join(filter(None, said))
    return row(each.get("title"), each.get("url"), snippet, published=each.get("page_age") or each.get("age"))


BRAVE = Service({"search": search})
