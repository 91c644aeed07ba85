"""Why receivers refuse entries, for the daemon's log: `meshctl status` shows it only until the next batch is taken.

Must never: write a line for each batch.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

AGAIN_AFTER = 300.0  # s

logger = logging.getLogger("meshd.telemetry")


class Refusals:
    """sink: its name."""

    def __init__(self, sink: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._sink = sink
        self._clock = clock
        self._again_at = 0.0

    def told(self, why: str) -> None:
        """Say so, unless that was said a short time ago."""
        now = self._clock()
        if now >= self._again_at:
            self._again_at = now + AGAIN_AFTER
            logger.warning("%s: entries were dropped: %s", self._sink, why)
