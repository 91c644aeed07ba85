"""What agents used elsewhere, by app, user and model: the sums of each stretch, and of all.

Owns: these sums, beside the packed cells that they are made of: a screen may ask every second, and to unpack the cells
of a year would stop telemetry for a tenth of a second. Must never: have a sum that the cells do not have.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from meshd.telemetry.statistics.breakdown import Cells, moment
from meshd.telemetry.statistics.bucket import Bucket
from meshd.telemetry.statistics.dimensions import SPEND, TIMES
from meshd.telemetry.statistics.measures import PLACES

NAMED = ("app", "user", "model")
"""The dimensions by which there are sums."""
COUNTED = tuple(
    PLACES[name]
    for name in (
        "outside_requests",
        "outside_tokens_in",
        "outside_tokens_out",
        "outside_tokens_cached",
        "outside_cost",
    )
)
"""In the order of `OutsideUse.counts`."""
_IN_KEY = tuple(SPEND.index(name) + 1 for name in NAMED)

Names = tuple[str, ...]
Sums = dict[Names, list[int]]


class OutsideSums:
    """Told of each stretch that a breakdown keeps or drops."""

    def __init__(self) -> None:
        self._stretches: dict[int, tuple[int, Sums]] = {}  # its start → its length, and its sums
        self._all: Sums = {}

    def keep(self, begin: int, step: int, cells: Cells) -> None:
        found: Sums = {}
        for key, cell in cells.items():
            counts = [cell.n[place] for place in COUNTED]
            if any(counts):
                _add(found, tuple(str(key[place]) for place in _IN_KEY), counts)
        if found:
            self._stretches[begin] = step, found
            for names, counts in found.items():
                _add(self._all, names, counts)

    def drop(self, begin: int) -> None:
        _, dropped = self._stretches.pop(begin, (0, {}))
        for names, counts in dropped.items():
            _add(self._all, names, [-count for count in counts])
            if not any(self._all[names]):
                del self._all[names]

    def query(self, by: Names, where: Mapping[str, str], start: float, end: float) -> dict[Names, Bucket]:
        """As a breakdown's, of groups that have a name in each dimension; {} by others than these."""
        if not all(each in NAMED or each in TIMES for each in (*by, *where)):
            return {}
        filters = [(NAMED.index(name), value) for name, value in where.items()]
        steps = [TIMES[each] for each in by if each in TIMES]
        found: Sums = {}
        for begin, sums in self._between(start, end, whole=not steps):
            times = tuple(moment(begin, step) for step in steps)
            for names, counts in sums.items():
                if not filters or all(names[place] == value for place, value in filters):
                    _add(found, names + times, counts)
        # Names first, then times.
        places = [len(NAMED) + steps.index(TIMES[each]) if each in TIMES else NAMED.index(each) for each in by]
        grouped: dict[Names, Bucket] = {}
        for names, counts in found.items():
            group = tuple(names[place] for place in places)
            if all(group):
                n = grouped.setdefault(group, Bucket()).n
                for place, count in zip(COUNTED, counts, strict=True):
                    n[place] += count
        return grouped

    def _between(self, start: float, end: float, whole: bool) -> Iterator[tuple[int, Sums]]:
        """whole: the sums of all stretches will do if all are wanted."""
        if whole and start == -math.inf and end == math.inf:
            yield 0, self._all
            return
        for begin, (step, sums) in self._stretches.items():
            if begin + step > start and begin < end:
                yield begin, sums


def _add(into: Sums, names: Names, counts: list[int]) -> None:
    sums = into.get(names)
    if sums is None:
        into[names] = counts[:]
        return
    sums[0] += counts[0]  # written out, since a year has many of them
    sums[1] += counts[1]
    sums[2] += counts[2]
    sums[3] += counts[3]
    sums[4] += counts[4]
