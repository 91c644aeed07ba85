"""Models that are to be retired, in words.

Owns: what is said of the day, and how soon that is worth a note. Must never: know where a day comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime

from meshd.routing.table.specs import RoutingTable

SOON = 90
"""Days before its end from which on a model is noted in the status."""
_MOST_NAMED = 6  # models of one note

Today = Callable[[], date]


def today() -> date:
    return datetime.now(UTC).date()


def ends_on(day: str, left: int) -> str:
    """left: days."""
    if left < 0:
        return f"was to stop serving on {day}"
    return f"stops serving on {day} ({'today' if left == 0 else f'in {left} days' if left > 1 else 'tomorrow'})"


def remarks(retires: Mapping[str, str], table: RoutingTable, now: Today = today) -> list[str]:
    """Which models in use end soon: one sentence for each provider and day, the nearest first. retires: model → day."""
    groups: dict[tuple[str, str], list[str]] = {}
    for id, day in retires.items():
        model = table.models.get(id)
        if model is not None and (date.fromisoformat(day) - now()).days <= SOON:
            groups.setdefault((day, model.provider), []).append(id)
    found = []
    for (day, provider), ids in sorted(groups.items()):
        left = (date.fromisoformat(day) - now()).days
        more = f" and {len(ids) - _MOST_NAMED} more" if len(ids) > _MOST_NAMED else ""
        found.append(f"{provider} {ends_on(day, left)}: {', '.join(sorted(ids)[:_MOST_NAMED])}{more}")
    return found
