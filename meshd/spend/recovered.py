"""Finds in the spend journal the attempts that a killed daemon's statistics lack.

Owns: which attempts are missing, judged by the period that the statistics cover. Must never: count one twice.

Statistics are saved now and then, with the time and the requests counted shortly before it: requests that the journal
settled since, or shortly before, and that are not among them, were lost with the daemon. Open attempts count with their
reservation, as in the budgets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from meshd.spend.records import Begin, Settle

COVERED = "covered"
LOST = "lost"
"""Rows of the table `statistics` that are not statistics: what the statistics cover, and what they lack of earlier
runs."""

LOOK_BACK = 60.0
"""s before the statistics were saved: a request may be settled this long before it ends."""
MOST_SEEN = 20_000


class Covered(msgspec.Struct, frozen=True):
    """until: UTC s. since: from when on `seen` has every request that was counted, in hex."""

    until: float = 0.0
    since: float = 0.0
    seen: frozenset[str] = frozenset()


class Lacking(msgspec.Struct, frozen=True):
    """The row LOST: attempts that were open when their run ended, kept until statistics that have them are stored. All
    others are in the journal until then."""

    attempts: tuple[LostAttempt, ...] = ()


class LostAttempt(msgspec.Struct, frozen=True):
    request: str  # hex
    at: float
    provider: str
    model: str
    pool: str
    app: str
    ok: bool
    duration: float
    tokens_in: int
    tokens_out: int
    tokens_cached: int
    cost: int
    units: dict[str, int] = {}


def find_lost(
    records: Iterable[Begin | Settle],
    open: Mapping[tuple[bytes, int], Begin],
    covered: Covered,
    begun: Iterable[Begin] = (),
) -> list[LostAttempt]:
    """In order of time. records: of all segments. open: unsettled attempts, which count as spent. begun: attempts of
    removed segments."""
    begins = {(begin.request, begin.attempt): begin for begin in begun}
    found: list[LostAttempt] = []
    for record in records:
        key = (record.request, record.attempt)
        if isinstance(record, Begin):
            begins[key] = record
            continue
        begin = begins.pop(key, None)
        if begin is None or not record.sent or record.at < covered.since or record.request.hex() in covered.seen:
            continue
        tokens = (record.tokens_in, record.tokens_out, record.tokens_cached)
        found.append(_lost(begin, record.at, record.ok, tokens, record.cost, record.units))
    return sorted((*found, *left_open(open)), key=lambda lost: lost.at)


def left_open(open: Mapping[tuple[bytes, int], Begin]) -> list[LostAttempt]:
    """The open attempts, each counted with its reservation."""
    return [
        _lost(begin, begin.at, False, (begin.tokens_in, begin.tokens_out, 0), begin.reserved, begin.units)
        for begin in open.values()
    ]


def _lost(
    begin: Begin, at: float, ok: bool, tokens: tuple[int, int, int], cost: int, units: dict[str, int]
) -> LostAttempt:
    names = (begin.provider, begin.model, begin.pool, begin.app)
    return LostAttempt(begin.request.hex(), at, *names, ok, max(at - begin.at, 0.0), *tokens, cost, units)
