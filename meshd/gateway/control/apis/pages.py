"""Lists in OpenAI's form, a page at a time.

Must never: know what is listed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelmesh.errors import InvalidRequestError


def page(
    query: Mapping[str, str], rows: Sequence[dict[str, Any]], *, most: int, usual: int | None = None
) -> dict[str, Any]:
    """rows: all of them, oldest first, each with an `id`. most, usual: rows of a page. Raises InvalidRequestError."""
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise InvalidRequestError("`order` must be asc or desc", param="order")
    limit = query.get("limit", str(usual or most))
    if not (limit.isascii() and limit.isdecimal() and len(limit) < 10 and 1 <= int(limit) <= most):
        raise InvalidRequestError(f"`limit` must be a number from 1 to {most}", param="limit")
    found = list(rows) if order == "asc" else list(reversed(rows))
    if after := query.get("after"):
        places = [place for place, row in enumerate(found) if row["id"] == after]
        if not places:
            raise InvalidRequestError("`after` names nothing in this list", param="after")
        found = found[places[0] + 1 :]
    data = found[: int(limit)]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": len(found) > len(data),
    }
