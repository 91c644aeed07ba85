"""The attempts of a killed life that its statistics lack, read from the journal."""

from __future__ import annotations

import logging

from meshd.sdk.storage import Storage, StorageError
from meshd.spend.journal import Begin
from meshd.spend.ledger import Ledger
from meshd.spend.recovered import COVERED, Covered, LostAttempt, find_lost
from meshd.state.codec import read_stored, stored_key
from meshd.state.segments import Segments

logger = logging.getLogger("meshd.state")


def lost_attempts(storage: Storage, segments: Segments, ledger: Ledger, begun: tuple[Begin, ...]) -> list[LostAttempt]:
    """Empty for statistics of an older version, which do not say what they cover."""
    try:
        covered = read_stored("statistics", storage.load(stored_key("statistics", COVERED)), Covered)
        if covered is None:
            if next(iter(storage.items("table/statistics/")), None) is not None:
                return []
            covered = Covered()
        return find_lost(segments.records(), ledger.open, covered, begun)
    except (OSError, StorageError) as error:
        logger.warning("the requests missing from the statistics cannot be read: %s", error)
        return []
