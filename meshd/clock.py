"""The daemon's time: UTC seconds that pass evenly, whatever is done to the wall clock meanwhile.

Owns: the one moment at which the wall clock was believed. Deadlines, rests, waits and rates are measured by `now`;
what follows a calendar, is shown to people or is kept on a disk adds `ahead`, the wall clock's lead over it.

By CLOCK_MONOTONIC, as asyncio's timers and the clients' deadlines are: while a machine sleeps, none of them passes.
"""

from __future__ import annotations

import time

_BEGAN = time.time() - time.monotonic()


def now() -> float:
    return _BEGAN + time.monotonic()


def at(monotonic: float) -> float:
    """A moment of `time.monotonic()`."""
    return _BEGAN + monotonic


def ahead() -> float:
    """Seconds that the wall clock is ahead: 0 until somebody sets it, or the machine sleeps."""
    return time.time() - now()
