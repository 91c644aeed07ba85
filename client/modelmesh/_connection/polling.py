"""How a thread waits for a descriptor: asleep, or awake for a moment.

A sleeping thread is woken tens of microseconds late, a good part of a quick answer's time. So if the last wait was
short, the next one spins first; a wait for a slow model does not.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from typing import Final

AWAKE_SECONDS: Final = 0.0005
"""Seconds that a wait spins before it sleeps, if the last one was short."""
QUICK_SECONDS: Final = 0.001
"""Seconds: a shorter wait counts as short."""
SEVERAL_CORES: Final = (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1) > 1


class Wait:
    """The waits of one connection. spins: False on a single core, where a spinning thread keeps the daemon from its
    work."""

    __slots__ = ("_clock", "_quick", "_spins")

    def __init__(self, spins: bool = SEVERAL_CORES, clock: Callable[[], float] = time.monotonic) -> None:
        self._spins = spins
        self._clock = clock
        self._quick = False

    def ready(self, poller: select.poll, timeout: float | None) -> list[tuple[int, int]]:
        """Descriptors with something to read, within `timeout` milliseconds."""
        clock = self._clock
        began = clock()
        if self._quick and (timeout is None or timeout > AWAKE_SECONDS * 1000):
            while clock() - began < AWAKE_SECONDS:
                if ready := poller.poll(0):
                    return ready
        ready = poller.poll(timeout)
        self._quick = self._spins and clock() - began < QUICK_SECONDS
        return ready
