"""This machine's recent shortages, each reported once.

Owns: the list that `meshctl status` and `doctor` show.
Must never: be used for a decision.
"""

from __future__ import annotations

import logging

logger = logging.getLogger("meshd.router")

REMEMBERED = 300.0  # s
_MOST = 16


class Shortages:
    """Times: UTC seconds."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def note(self, what: str, now: float) -> None:
        if now - self._last.pop(what, float("-inf")) > REMEMBERED:
            logger.warning("%s", what)
        self._last[what] = now
        if len(self._last) > _MOST:
            del self._last[next(iter(self._last))]

    def lately(self, now: float) -> list[str]:
        return [what for what, at in self._last.items() if now - at <= REMEMBERED]
