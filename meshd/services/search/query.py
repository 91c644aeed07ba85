"""What a search asks for, and the form of its answer, which is the same for all services.

Owns: the fields of the operation `search`. Must never: know a service.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec

from meshd.services.seam import Asked, Result, cannot, text

MOST_RESULTS = 100
_Domain = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z0-9_]([A-Za-z0-9_.\-]{0,252})(/[A-Za-z0-9_.~\-/]{0,200})?$", max_length=300)
]
_Domains = Annotated[list[_Domain], msgspec.Meta(max_length=50)]
Recency = Literal["day", "week", "month", "year"]


class SearchQuery(msgspec.Struct, frozen=True):
    """max_results: None: as many as the service gives. country: of ISO 3166, language: of ISO 639, two letters each.
    content: the text of each page too, not only a snippet. safe_search: None: as the service does."""

    query: Annotated[str, msgspec.Meta(min_length=1)]
    max_results: Annotated[int, msgspec.Meta(ge=1, le=MOST_RESULTS)] | None = None
    domains: _Domains = []
    exclude_domains: _Domains = []
    recency: Recency | None = None
    country: Annotated[str, msgspec.Meta(pattern="^[A-Za-z]{2}$")] | None = None
    language: Annotated[str, msgspec.Meta(pattern="^[A-Za-z]{2}(-[A-Za-z]{2,4})?$")] | None = None
    content: bool = False
    safe_search: bool | None = None

    @property
    def with_sites(self) -> str:
        """The query with its domains as operators, as most search engines know them."""
        within = " OR ".join(f"site:{domain}" for domain in self.domains)
        if len(self.domains) > 1:
            within = f"({within})"
        return " ".join(
            [self.query, *([within] if within else ()), *(f"-site:{each}" for each in self.exclude_domains)]
        )


def read(asked: Asked, *, lacks: Iterable[str] = ()) -> SearchQuery:
    """lacks: fields that the service cannot express. Raises ProviderFailure."""
    query = asked.read(SearchQuery)
    for name in lacks:
        if getattr(query, name) not in (None, False):
            raise cannot(name)
    return query


def row(
    title: Any, url: Any, snippet: Any = None, *, content: Any = None, score: Any = None, published: Any = None
) -> dict[str, Any]:
    """One result. Empty if it has no address, so that it is left out; what the service does not tell is left out of
    it."""
    if not text(url):
        return {}
    told = {"title": text(title), "url": url, "snippet": text(snippet)}
    if text(content):
        told["content"] = content
    if isinstance(score, int | float) and not isinstance(score, bool):
        told["score"] = score
    if text(published):
        told["published"] = published
    return told


def results(
    query: SearchQuery, rows: Iterable[Mapping[str, Any]], *, searches: int = 1, more: Mapping[str, Any] | None = None
) -> Result:
    """searches: that were billed. more: what the service tells besides, such as an answer in words."""
    listed = [each for each in rows if each][: query.max_results or MOST_RESULTS]
    document = {"object": "search", "query": query.query, "results": listed, **(more or {})}
    return Result({**document, "usage": {"searches": searches}}, units={"searches": searches})
