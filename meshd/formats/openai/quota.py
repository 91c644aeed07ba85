"""Reads a key's quota from a provider's JSON.

Owns: the quirk `quota`: `path` (relative to base_url), and where in the answer the figures are: `used`, `remaining`,
`limit` (numbers, also in strings), `unit` (a path, or the unit itself after a `=`), `available` (a flag: false means
that nothing is left, true that something is). A place is a path of keys and positions, separated by dots:
`balances.0.total`. If the provider has no figure for what remains, it is the limit less what is used.
Must never: take a missing figure for zero.
"""

from __future__ import annotations

import math
from typing import Any, NotRequired, TypedDict

import msgspec

from meshd.formats.errors.not_answers import Broken
from meshd.sdk.provider import QuotaStatus
from meshd.sdk.reading.lenient import UNREADABLE


class QuotaQuirk(TypedDict):
    path: str
    used: NotRequired[str]
    remaining: NotRequired[str]
    limit: NotRequired[str]
    unit: NotRequired[str]
    available: NotRequired[str]


def read_quota(body: bytes, quirk: QuotaQuirk) -> QuotaStatus:
    """Raises Broken if it is not a JSON object. A missing figure is None."""
    try:
        document = msgspec.json.decode(body)
    except UNREADABLE as exc:
        raise Broken(str(exc)) from None
    if not isinstance(document, dict):
        raise Broken("no JSON object")
    used, limit = _number(_at(document, quirk.get("used"))), _number(_at(document, quirk.get("limit")))
    remaining = _number(_at(document, quirk.get("remaining")))
    if "remaining" not in quirk and used is not None and limit is not None:
        remaining = max(limit - used, 0.0)
    available = _at(document, quirk.get("available"))
    if available is False:
        remaining = 0.0
    elif available is True and not remaining:
        remaining = None  # it is in another place
    unit = quirk.get("unit", "")
    return QuotaStatus(
        used=used,
        remaining=remaining,
        limit=limit,
        unit=unit[1:] if unit.startswith("=") else str(_at(document, unit) or ""),
    )


def _at(document: Any, place: str | None) -> Any:
    for step in place.split(".") if place else ():
        if isinstance(document, list) and step.isdigit() and int(step) < len(document):
            document = document[int(step)]
        elif isinstance(document, dict):
            document = document.get(step)
        else:
            return None
    return document if place else None


def _number(value: Any) -> float | None:
    try:
        found = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except ValueError:
        return None
    return found if math.isfinite(found) else None
