"""What the stored statistics cover, and the attempts that they lack because the daemon was killed, from the journal."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.sdk.storage import Storage, StorageError
from meshd.spend.ledger import Ledger
from meshd.spend.records import Begin
from meshd.spend.recovered import COVERED, LOST, Covered, Lacking, LostAttempt, find_lost, left_open
from meshd.state.codec import read_stored, stored_key
from meshd.state.segments import Segments

logger = logging.getLogger("meshd.state")

_ROW = ("statistics", LOST)
_encode = msgspec.json.Encoder().encode


class LostAttempts:
    """covered: the time, in UTC s, until which the stored statistics have every request."""

    def __init__(self) -> None:
        self.covered = 0.0
        self._all: list[LostAttempt] = []  # those that the statistics from before the restart lack
        self._left_open: tuple[LostAttempt, ...] = ()  # those of them that are not in the journal

    def read(self, storage: Storage, segments: Segments, ledger: Ledger, begun: tuple[Begin, ...]) -> None:
        self._all, self._left_open = _lost_attempts(storage, segments, ledger, begun)

    def rows(self) -> dict[str, dict[str, Any]]:
        """The rows that the table of statistics lacks."""
        return {LOST: msgspec.to_builtins(Lacking(tuple(self._all)))} if self._all else {}

    def counted(self) -> dict[tuple[str, str], None]:
        """The statistics have these attempts now. Returns what changes in the tables."""
        self._all = []
        if not self._left_open:
            return {}
        self._left_open = ()
        return {_ROW: None}

    def covered_by(self, pending: Mapping[tuple[str, str], dict[str, Any] | None]) -> float:
        """`covered`, once these changes of the tables are stored."""
        until: float = (pending.get(("statistics", COVERED)) or {"until": self.covered})["until"]
        return until

    def stored_with_ledger(self) -> dict[str, bytes]:
        """What to write with the ledger, in which the attempts are settled from now on."""
        return {stored_key(*_ROW): _encode(Lacking(self._left_open))} if self._left_open else {}


def _lost_attempts(
    storage: Storage, segments: Segments, ledger: Ledger, begun: tuple[Begin, ...]
) -> tuple[list[LostAttempt], tuple[LostAttempt, ...]]:
    """(all that the statistics lack, those of them that were open when the daemon ended).

    Statistics of an older version do not say what they cover; then nothing counts as missing.
    """
    try:
        lacking = read_stored("statistics", storage.load(stored_key("statistics", LOST)), Lacking) or Lacking()
        covered = read_stored("statistics", storage.load(stored_key("statistics", COVERED)), Covered)
        if covered is None:
            rows = (key for key, _ in storage.items("table/statistics/") if key != stored_key("statistics", LOST))
            if next(rows, None) is not None:
                return [], ()
            covered = Covered()
        found = find_lost(segments.records(), ledger.open, covered, begun)
        return [*lacking.attempts, *found], (*lacking.attempts, *left_open(ledger.open))
    except (OSError, StorageError) as error:
        logger.warning("the requests missing from the statistics cannot be read: %s", error)
        return [], ()
