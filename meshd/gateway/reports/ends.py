"""Models that will be retired, in words.

Owns: the wording, and how soon a day is worth a note. Must never: know where a day comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime

from meshd.routing.table.specs import RoutingTable
from modelmesh.wording import few

SOON = 90
"""From this many days before its end, the status mentions a model."""

Today = Callable[[], date]


def today() -> date:
    return datetime.now(UTC).date()


def ends_on(day: str, left: int) -> str:
    """left: days."""
    if left < 0:
        return f"was scheduled to stop serving on {day}"
    return f"stops serving on {day} ({'today' if left == 0 else f'in {left} days' if left > 1 else 'tomorrow'})"


def remarks(retires: Mapping[str, str], table: RoutingTable, now: Today = today) -> list[str]:
    """Which models in use end soon: one sentence for each provider, the nearest first. retires: model → day."""
    groups: dict[str, dict[str, str]] = {}
    for id, day in sorted(retires.items(), key=lambda item: item[::-1]):
        model = table.models.get(id)
        if model is not None and _left(day, now) <= SOON:
            groups.setdefault(model.provider, {})[id] = day
    return [_remark(provider, days, now) for provider, days in groups.items()]


def _remark(provider: str, days: Mapping[str, str], now: Today) -> str:
    """days: of its models."""
    first, last = min(days.values()), max(days.values())
    if first != last:
        return f"{provider} stops serving {len(days)} models between {first} and {last}; `meshctl models` has the days"
    return f"{provider} {ends_on(first, _left(first, now))}: {few(list(days))}"


def _left(day: str, now: Today) -> int:
    """Days until then."""
    return (date.fromisoformat(day) - now()).days
