"""Signals as they arrive, one byte each through a pipe.

Python runs handlers in the main thread only. A signal just before that thread begins to wait would otherwise be noticed
only when the wait ends.
"""

from __future__ import annotations

import os
import select
import signal

ENDING = (signal.SIGTERM, signal.SIGINT)
_CAUGHT = (*ENDING, signal.SIGHUP, signal.SIGUSR1)


class Signals:
    def __init__(self) -> None:
        self._read, written = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(written, warn_on_full_buffer=False)
        for number in _CAUGHT:
            signal.signal(number, lambda caught, frame: None)

    def next(self, timeout: float | None) -> int | None:
        """The next signal; None if none came within `timeout` seconds."""
        ready, _, _ = select.select([self._read], [], [], timeout)
        return os.read(self._read, 1)[0] if ready else None
