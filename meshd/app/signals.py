"""Signals as they come, one byte each through a pipe.

Caught by any thread the kernel chooses: a signal between two checks of the main thread, not during its sleep, would be
noticed only when it next wakes.
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
        """The next one; None if none came in `timeout` seconds."""
        ready, _, _ = select.select([self._read], [], [], timeout)
        return os.read(self._read, 1)[0] if ready else None
