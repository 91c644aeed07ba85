"""Follows the wall clock, which may be set; only calendars use it."""

from __future__ import annotations

import logging

from meshd.core.text.durations import format_duration
from meshd.routing.availability import recovery
from meshd.routing.availability.state import MeshState

logger = logging.getLogger("meshd.router")

_WORTH_TELLING = 5.0  # s of such a step: less may be a busy machine
_A_STEP = 0.5  # s: if the clocks drift apart by more, one was set


def follow(state: MeshState, ahead: float) -> None:
    """ahead: the wall clock's lead over ours in seconds."""
    moved = ahead - state.ahead
    if abs(moved) > _A_STEP:
        how = "moved on by %s: it was set, or this machine or meshd slept" if moved > 0 else "was set back by %s"
        level = logging.INFO if abs(moved) >= _WORTH_TELLING else logging.DEBUG
        logger.log(level, f"the wall clock {how}", format_duration(abs(moved)))
        recovery.clock_set(state, ahead)
