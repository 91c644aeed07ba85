"""The daemon's time: UTC seconds that pass evenly, whatever is done to the wall clock meanwhile.

Owns: the one moment at which the wall clock was believed, and the time that this process slept. Deadlines, rests, waits
and rates are measured by `now`; what follows a calendar, is shown to people or is kept on a disk adds `ahead`, the wall
clock's lead over it.

By CLOCK_MONOTONIC: while a machine is suspended, none of them passes. Nor while this process is stopped (SIGSTOP),
frozen, or kept from its work, as far as `awake.py` notices: nothing that comes due meanwhile says anything of whoever
is waited for.
"""

from __future__ import annotations

import time

_BEGAN = time.time() - time.monotonic()
_NEVER = float("inf")

_slept = 0.0  # s, as far as it was noticed
_until = _NEVER  # the monotonic time up to which the loop that is watched counts as awake


def now() -> float:
    return _BEGAN + min(time.monotonic(), _until) - _slept


def at(monotonic: float) -> float:
    """A moment of `time.monotonic()` that has just been."""
    return _BEGAN + min(monotonic, _until) - _slept


def ahead() -> float:
    """Seconds that the wall clock is ahead: 0 until it is set, or the machine or this process sleeps."""
    return time.time() - now()


def slept() -> float:
    """Seconds that this process slept, of which not even `now` can tell."""
    return _slept + max(time.monotonic() - _until, 0.0)


def sleeps() -> bool:
    """Whether this process has just slept, and has done nothing since."""
    return time.monotonic() > _until


def awake_for(seconds: float | None) -> bool:
    """The watched loop runs, and will say so again within so many seconds; None: it is watched no longer.

    Whether it slept until now."""
    global _slept, _until
    monotonic = time.monotonic()
    overslept = monotonic > _until
    if overslept:
        _slept += monotonic - _until
    _until = _NEVER if seconds is None else monotonic + seconds
    return overslept
