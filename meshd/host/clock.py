"""The daemon's time: UTC seconds that pass evenly, even if the wall clock is set.

Owns: the one moment at which the wall clock was read, and the time that this process slept. Deadlines, cooldowns, waits
and rates use `now`; calendars, displays and stored times add `ahead`, the wall clock's lead over it.

It follows CLOCK_MONOTONIC: it stands still while the machine is suspended, and while this process is stopped (SIGSTOP),
frozen or blocked, as far as `awake.py` notices. A timeout during that time would say nothing about the peer.
"""

from __future__ import annotations

import time
from typing import Final

_NEVER: Final = float("inf")
_BEGAN: Final = time.time() - time.monotonic()


class _Sleep:
    """slept: s, as far as it was noticed. until: the monotonic time up to which the watched loop counts as awake."""

    def __init__(self) -> None:
        self.slept = 0.0
        self.until = _NEVER


_sleep: Final = _Sleep()


def now() -> float:
    return _BEGAN + min(time.monotonic(), _sleep.until) - _sleep.slept


def at(monotonic: float) -> float:
    """A recent moment of `time.monotonic()` on this clock."""
    return _BEGAN + min(monotonic, _sleep.until) - _sleep.slept


def ahead() -> float:
    """Seconds that the wall clock is ahead: 0 until it is set, or the machine or this process sleeps."""
    return time.time() - now()


def slept() -> float:
    """Seconds that this process slept, including a sleep not yet noticed."""
    return _sleep.slept + max(time.monotonic() - _sleep.until, 0.0)


def sleeps() -> bool:
    """Whether this process has just slept and has done nothing since."""
    return time.monotonic() > _sleep.until


def awake_for(seconds: float | None) -> bool:
    """Record that the watched loop runs, and will report again within `seconds` (None: it is no longer watched).

    Returns whether it slept until now."""
    monotonic = time.monotonic()
    overslept = monotonic > _sleep.until
    if overslept:
        _sleep.slept += monotonic - _sleep.until
    _sleep.until = _NEVER if seconds is None else monotonic + seconds
    return overslept
