"""Whether the state directory accepts writes, and how long to wait before the next attempt.

Invariant: an outage is reported once when it begins and once when it ends.
"""

from __future__ import annotations

import logging
from typing import Protocol

from meshd.core.events.event_type import EventType

logger = logging.getLogger("meshd.state")

LONGEST_BACKOFF = 60.0  # s


class Report(Protocol):
    def __call__(self, type: EventType, severity: str, reason: str) -> None: ...


class Outage:
    """problem: "" if there is none. backoff: seconds until the next attempt, 0 if there is none."""

    def __init__(self, report: Report) -> None:
        self.problem = ""
        self.backoff = 0.0
        self._report = report

    def goes_on(self, problem: str, least: float) -> None:
        """A write failed. least: seconds to wait at first, doubled each time."""
        if not self.problem:
            logger.warning("state is not being saved; the daemon continues in memory: %s", problem)
            self._report(EventType.STATE_UNWRITABLE, "warning", problem)
        self.problem = problem
        self.backoff = min(LONGEST_BACKOFF, max(self.backoff * 2, least))

    def is_over(self) -> None:
        """Everything was written."""
        self.backoff = 0.0
        if self.problem:
            logger.info("state is being saved again")
            self.problem = ""
            self._report(EventType.STATE_RECOVERED, "info", "the state directory can be written again")
