"""Spend by app, user, project, agent, session and label, for more than a year.

Owns: the spend of the current minute and of the time before it. Must never: let one user's many sessions hide what
others have spent: beyond a stretch's number of cells, those with the most cells are merged first.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from meshd.telemetry.statistics.breakdown import OTHERS, Breakdown, Cells, Shape, merged
from meshd.telemetry.statistics.bucket import Bucket
from meshd.telemetry.statistics.cells import BOTH, PLACE, WIDTH, cell_in
from meshd.telemetry.statistics.dimensions import SPEND
from meshd.telemetry.statistics.measures import PLACES as COUNTED
from meshd.telemetry.statistics.outside import OutsideUse
from meshd.telemetry.statistics.outside_sums import COUNTED as OUTSIDE
from meshd.telemetry.statistics.outside_sums import OutsideSums

SCOPE = "spend"
PLACES = {name: place + 1 for place, name in enumerate(SPEND)}
MOST_CELLS = 300
MOST_BYTES = 8_000_000
_HOUR, _DAY = 3600, 86400
_STEPS = ((26 * _HOUR, 600), (8 * _DAY, _HOUR))
_COMMON = [PLACE[name] for name in SPEND if name in PLACE]
_USER, _MODEL, _PROJECT, _AGENT = PLACES["user"], PLACES["model"], PLACES["project"], PLACES["agent"]
_SESSION, _LABEL = PLACES["session"], PLACES["label"]
_ALL_BUT_USER = tuple(place for place in PLACES.values() if place != _USER)
_MOST_AT_ONCE = 2000  # cells of a minute; beyond this many, they are settled early


class Spend:
    def __init__(self, retention: float = math.inf) -> None:
        self.retention = retention
        self._outside = OutsideSums()
        self._kept = Breakdown(Shape(SCOPE, PLACES, _STEPS, MOST_CELLS, MOST_BYTES, folded), self._outside)
        self._cells: Cells = {}
        self._minute = 0

    def put(self, minute: int, counted: Cells) -> None:
        """Add what requests of the minute that begins at `minute` counted for."""
        spent: Cells = {}
        for key, cell in counted.items():
            if len(key) > WIDTH:  # and not an event
                merged(spent, {(key[0], *(key[place] for place in _COMMON), *key[WIDTH:]): cell})
        if spent:
            self._kept.put(minute, spent)

    def record_outside(self, use: OutsideUse, now: float) -> None:
        """What an agent used elsewhere."""
        self._begin_minute(now)
        key = (BOTH, "", use.model, "", use.app, use.user, use.project, use.agent, use.session, "")
        n = cell_in(self._cells, key).n
        for place, count in zip(OUTSIDE, use.counts, strict=True):
            n[place] += max(count, 0)

    def query(
        self, by: tuple[str, ...], where: Mapping[str, str], start: float, end: float, now: float
    ) -> dict[tuple[str, ...], Bucket]:
        """Sums over the stretches between `start` and `end` (UTC s): group → sum."""
        self._settle(now)
        return self._kept.query(by, where, start, end)

    def outside(
        self, by: tuple[str, ...], where: Mapping[str, str], start: float, end: float, now: float
    ) -> dict[tuple[str, ...], Bucket]:
        """What agents used elsewhere, where it has a name in each of these dimensions: group → sum of that alone."""
        self._settle(now)
        return self._outside.query(by, where, start, end)

    def size(self) -> int:
        """Bytes of packed cells."""
        return self._kept.size()

    # -- keeping --------------------------------------------------------------------------------------

    def changes(self, now: float) -> Iterator[tuple[str, dict[str, Any] | None]]:
        """Rows that changed since the last call: (key, value)."""
        self._settle(now)
        self._kept.coarsen(now, self.retention)
        yield from self._kept.changes()

    def restore(self, part: str, value: dict[str, Any]) -> None:
        """Add a stored row. Raises ValueError, KeyError or TypeError for an invalid one."""
        self._kept.restore(part, value)

    # -- inside ---------------------------------------------------------------------------------------

    def _begin_minute(self, now: float) -> None:
        if int(now) // 60 * 60 != self._minute or len(self._cells) >= _MOST_AT_ONCE:
            self._settle(now)

    def _settle(self, now: float) -> None:
        minute, self._minute = self._minute or int(now) // 60 * 60, int(now) // 60 * 60
        if self._cells:
            found, self._cells = self._cells, {}
            self._kept.put(minute, found)


def folded(found: Cells, most: int) -> Cells:
    """At most so many: those of users with few cells unchanged; of the others the most costly ones unchanged, the rest
    without session and label, then without project, agent and model, then merged by user, at last all together."""
    share = _share(Counter(key[_USER] for key in found), most)
    kept: Cells = {}
    for user, room in share.items():
        own = {key: cell for key, cell in found.items() if key[_USER] == user}
        for places in ((_SESSION, _LABEL), (_SESSION, _LABEL, _PROJECT, _AGENT, _MODEL), _ALL_BUT_USER):
            own = _merged_beyond(own, room, places)
        merged(kept, own)
    if len(kept) > most:
        kept = _merged_beyond(kept, most, (*_ALL_BUT_USER, _USER))
    return kept


def _merged_beyond(found: Cells, room: int, places: tuple[int, ...]) -> Cells:
    """Half of the room for the most costly cells, unchanged; the others with OTHERS at these places, where they have
    a name, or at all but the user."""
    if len(found) <= room:
        return found
    ranked = sorted(found.items(), key=lambda item: (-_weight(item[1]), str(item[0])))
    kept: Cells = dict(ranked[: room // 2])
    for key, cell in ranked[room // 2 :]:
        all_of_them = len(places) >= len(_ALL_BUT_USER)
        changed = tuple(OTHERS if place in places and (name or all_of_them) else name for place, name in enumerate(key))
        merged(kept, {changed: cell})
    return kept


def _weight(cell: Bucket) -> int:
    n = cell.n
    return n[COUNTED["cost_total"]] + n[COUNTED["outside_cost"]] + n[COUNTED["requests_total"]]


def _share(wanted: Mapping[str, int], most: int) -> dict[str, int]:
    """User → how many cells: all that it wants, or an equal share of what others leave."""
    share, left = {}, most
    users = sorted(wanted, key=lambda user: (wanted[user], user))
    for place, user in enumerate(users):
        share[user] = min(wanted[user], max(left // (len(users) - place), 1))
        left -= share[user]
    return share
