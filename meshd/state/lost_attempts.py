"""The attempts of a killed life that its statistics lack, read from the journal."""

from __future__ import annotations

import logging

from meshd.sdk.storage import Storage, StorageError
from meshd.spend.ledger import Ledger
from meshd.spend.records import Begin
from meshd.spend.recovered import COVERED, LOST, Covered, Lacking, LostAttempt, find_lost, left_open
from meshd.state.codec import read_stored, stored_key
from meshd.state.segments import Segments

logger = logging.getLogger("meshd.state")


def lost_attempts(
    storage: Storage, segments: Segments, ledger: Ledger, begun: tuple[Begin, ...]
) -> tuple[list[LostAttempt], tuple[LostAttempt, ...]]:
    """(all that statistics lack, those of them that were open when their life ended).

    Statistics of an older version do not say what they cover: none is missing from them.
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
