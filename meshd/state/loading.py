"""Reads what earlier runs have left, in the storage and in the journal.

Must never: count an attempt of this run, which the storage may be read in the middle of; or change anything if the
storage cannot be read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import msgspec

from meshd.messages import RestoredState
from meshd.sdk.storage import Storage
from meshd.spend.ledger import Ledger, usage_id
from meshd.state.lost_attempts import LostAttempts
from meshd.state.segments import Segments
from meshd.state.stored_ledger import read_ledger
from meshd.state.tables import Row, Tables

logger = logging.getLogger("meshd.state")

ANSWERS_MAY_BE_LOST = 60.0  # s before a crash: answers since then may not have reached their apps


class Earlier(msgspec.Struct, frozen=True):
    """ledger: without this run's attempts. answered: as in RestoredState. rows: table → id → the stored rows that were
    not known."""

    ledger: Ledger
    answered: set[bytes]
    rows: dict[str, dict[str, Row]]

    def as_news(self, more: Mapping[str, dict[str, Row]]) -> RestoredState:
        """For a router that began without it. more: tables of which no rows are known here."""
        usage = {usage_id(key): msgspec.structs.asdict(sums) for key, sums in self.ledger.usage.items()}
        begun, answered = frozenset(self.ledger.begun), frozenset(self.answered)
        return RestoredState({**self.rows, **more, "usage": usage}, begun, answered, late=True)


def read_earlier(
    storage: Storage, tables: Tables, segments: Segments, lost: LostAttempts, *, now: float, steady: float
) -> Earlier:
    """now: UTC s. steady: by the router's clock. Raises StorageError."""
    ledger, answered = Ledger(), set[bytes]()
    were_open = read_ledger(storage, ledger, segments, now)  # first: it also tells whether the key is the right one
    rows = tables.read(storage)
    try:
        segments.fold_earlier(ledger)
        answered = segments.settled_within(ANSWERS_MAY_BE_LOST)
    except OSError as error:
        logger.warning("the spend journal cannot be read: %s", error)
    lost.read(storage, segments, ledger, were_open)
    segments.keep_all(now)
    ledger.bury(steady)
    ledger.forget_days(now)
    return Earlier(ledger, answered, rows)


class Lacking:
    """What the router began without, because it could not be read. stored: what is in the storage."""

    def __init__(self) -> None:
        self.stored = self._remote = False
        self._late: RestoredState | None = None

    def begins(self, *, stored: bool, remote: bool) -> None:
        """The router begins now: without what is stored, without knowing what a remote storage has."""
        self.stored, self._remote = stored, remote

    def read(self, earlier: Earlier, more: Callable[[], Mapping[str, dict[str, Row]]]) -> None:
        """more: as in `Earlier.as_news`."""
        if self.stored:
            self.stored = False
            self._late = earlier.as_news(more())

    def met(self) -> bool:
        """What a remote storage has is known. The router gets it as news. Returns whether it was not known before."""
        was_unknown, self._remote = self._remote, False
        if was_unknown:
            self._late = RestoredState({}, frozenset(), late=True)
        return was_unknown

    def take(self) -> RestoredState | None:
        late, self._late = self._late, None
        return late
