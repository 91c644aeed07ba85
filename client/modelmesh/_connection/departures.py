"""Daemons that are shutting down: they sent GOAWAY, or refused a request because they are draining.

Owns: how long each of them may take. The next WELCOME has to come from another instance.
"""

from __future__ import annotations

import time
from typing import Final

from modelmesh.errors import RoutingError

DRAIN_SLACK_SECONDS: Final = 5.0
"""Seconds that a draining daemon may overrun before calls stop waiting for the next one, unless the client says
otherwise."""


class Departures:
    """The instances that are leaving. slack: seconds that each may overrun what it said."""

    __slots__ = ("_slack", "_until")

    def __init__(self, slack: float) -> None:
        self._slack = slack
        self._until: dict[str, float] = {}

    def note(self, instance: str, drain: float) -> None:
        """Record that an instance ends within `drain` seconds; 0 if it did not say."""
        until = time.monotonic() + drain + self._slack
        known = self._until.get(instance)
        self._until[instance] = until if known is None else max(known, until) if drain else known

    def overdue(self, instance: str) -> bool:
        """Whether it still answers after its time, so that it is not about to be replaced."""
        until = self._until.get(instance)
        return until is not None and time.monotonic() >= until

    def clear(self) -> None:
        self._until.clear()

    def __contains__(self, instance: object) -> bool:
        return instance in self._until

    def __bool__(self) -> bool:
        return bool(self._until)


def draining(path: str) -> RoutingError:
    """The error of a call that waited for another daemon without success."""
    from modelmesh.wording import told

    return RoutingError(
        told(
            "The daemon is draining and takes no new requests; ask again when it is restarted.", f"its socket: {path}"
        ),
        code="draining",
        retryable=True,
    )
