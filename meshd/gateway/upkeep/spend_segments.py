"""Which segment of the spend journal the router appends to.

Must never: delete one; the state actor does, once it has read it.
"""

from __future__ import annotations

import logging
import time

from meshd import messages
from meshd.gateway.actors import Tell
from meshd.spend.journal import JournalWriter, open_segment
from meshd.spend.journal_sync import JournalSync

logger = logging.getLogger("meshd.router")


class SpendSegments:
    """path: of the segment in use, "" before the first."""

    def __init__(self, ledger: JournalWriter, sync: JournalSync, tell: Tell) -> None:
        self.path = ""
        self._ledger = ledger
        self._sync = sync
        self._tell = tell

    def use(self, path: str) -> None:
        """Append to this segment from now on."""
        if path == self.path or not path:
            self._tell("state", messages.JournalRotated(path))
            return
        try:
            fd = open_segment(path)
        except OSError as error:
            logger.warning("cannot open the spend journal %s: %s", path, error)
            return
        finished, self.path = self.path, path
        self._sync.place = path
        self._ledger.reopen(fd, time.time())
        self._tell("state", messages.JournalRotated(finished))


def not_written(why: str) -> None:
    """What to do when the journal cannot be written."""
    logger.warning("the spend journal cannot be written; spend is kept in memory: %s", why)
