"""The daemon's time: UTC seconds that pass evenly, even if the wall clock is set.

Owns: the one moment at which the wall clock was read, and the time that this process slept. Deadlines, cooldowns, waits
and rates use `now`; calendars, displays and stored times add `ahead`, the wall clock's lead over it.

It follows CLOCK_MONOTONIC: it stands still while the machine is suspended, and while this process is stopped (SIGSTOP),
frozen or blocked, as far as `awake.py` notices. A timeout during that time would say nothing about the peer.
"""

from __future__ import annotations

import time

_BEGAN = time.time() - time.monotonic()
_NEVER = float("inf")

_slept = 0.0  # s, as far as it was noticed
_until = _NEVER  # the monotonic time up to which the watched loop counts as awake


def now() -> float:
    monotonic = time.monotonic()
    return _BEGAN + (monotonic if monotonic < _until else _until) - _slept


def at(monotonic: float) -> float:
    """A recent moment of `time.monotonic()` on this clock."""
    return _BEGAN + min(monotonic, _until) - _slept


def ahead() -> float:
    """Seconds that the wall clock is ahead: 0 until it is set, or the machine or this process sleeps."""
    return time.time() - now()


def slept() -> float:
    """Seconds that this process slept, including a sleep not yet noticed."""
    return _slept + max(time.monotonic() - _until, 0.0)


def sleeps() -> bool:
    """Whether this process has just slept and has done nothing since."""
    return time.monotonic() > _until


def awake_for(seconds: float | None) -> bool:
    """Record that the watched loop runs, and will report again within `seconds` (None: it is no longer watched).

    Returns whether it slept until now."""
    global _slept, _until
    monotonic = time.monotonic()
    overslept = monotonic > _until
    if overslept:
        _slept += monotonic - _until
    _until = _NEVER if seconds is None else monotonic + seconds
    return overslept
