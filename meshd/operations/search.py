"""Search: pages of the web, or of another collection, that fit a query."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from meshd.sdk.calls.operation import OperationSpec
from meshd.sdk.reading.lenient import UNREADABLE

A_SEARCH = 10
"""Results: services bill each further ten as one more search, if they bill them at all."""


def searches(fields: Mapping[str, msgspec.Raw]) -> dict[str, int]:
    """An upper bound; anything but a number is refused later."""
    try:
        results = msgspec.json.decode(fields.get("max_results", msgspec.Raw(b"null")), type=int | None)
    except UNREADABLE:
        results = None
    return {"searches": max(-(-(results or 1) // A_SEARCH), 1)}


SEARCH = OperationSpec(
    name="search",
    word="search",
    paths={"openai": "/v1/search"},
    capabilities=("retrieval.search",),
    text=("query",),
    free=(
        "max_results",
        "domains",
        "exclude_domains",
        "recency",
        "country",
        "language",
        "content",
        "safe_search",
    ),
    default="web-search",
    example=lambda text: {"query": text, "max_results": 1},
    rows=("results", "url"),
    tokens=False,
    units=searches,
    output=False,
    repeats=True,
    streamed=False,
    continued=False,
)
