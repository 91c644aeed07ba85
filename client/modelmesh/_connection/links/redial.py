"""When to dial the daemon again.

Must never: dial.
"""

from __future__ import annotations

import time
from typing import Final

FIRST_ANSWER_SECONDS: Final = 5.0
"""Seconds that a daemon may refuse first connections before that is an error: it may be starting."""
_DELAYS: Final = (0.01, 0.02, 0.05, 0.1, 0.2)


class Redial:
    """The time of the next try, later after each failure, and how long a first connection has been refused."""

    __slots__ = ("_failures", "_refused_since", "due")

    def __init__(self) -> None:
        self.due: float | None = None
        """A time of `time.monotonic()`, None if no try is planned."""
        self._failures = 0
        self._refused_since: float | None = None

    def plan(self) -> None:
        self.due = time.monotonic() + _DELAYS[min(self._failures, len(_DELAYS) - 1)]
        self._failures += 1

    def take(self) -> bool:
        """Whether a try is due now; then no further one is planned."""
        if self.due is None or time.monotonic() < self.due:
            return False
        self.due = None
        return True

    def refused_too_long(self) -> bool:
        """Call it at each refusal of a first connection. Returns whether to stop waiting for the daemon to start."""
        now = time.monotonic()
        if self._refused_since is None:
            self._refused_since = now
        return now - self._refused_since > FIRST_ANSWER_SECONDS

    def forget_refusals(self) -> None:
        """Count the next refusal as the first one."""
        self._refused_since = None

    def answered(self) -> None:
        """A daemon accepts requests: count the next failure as the first one."""
        self._failures = 0
