"""When a stream has been silent for too long."""

from __future__ import annotations

import asyncio

from meshd.formats.body import Body
from meshd.host import clock
from meshd.host.awake import left_until


class Silence(Exception):
    """A timeout passed while waiting for the upstream."""


class Clock:
    """Wakes the body's reader when a deadline passes. One lazy timer: moving the deadline costs nothing."""

    __slots__ = ("_body", "_deadline", "_due", "_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, body: Body) -> None:
        self._loop = loop
        self._body = body
        self._deadline: float | None = None
        self._due = 0.0  # the timer's
        self._timer: asyncio.TimerHandle | None = None

    def start(self, deadline: float) -> None:
        self._deadline = deadline
        if self._timer is None or self._due > deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._wait(deadline, deadline - clock.now())

    def pause(self) -> None:
        self._deadline = None

    def stop(self) -> None:
        self._deadline = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        if self._deadline is None:
            return
        left = left_until(self._deadline)
        if left > 0.0:
            self._wait(self._deadline, left)
        else:
            self._body.fail(Silence())

    def _wait(self, deadline: float, seconds: float) -> None:
        self._due = deadline
        self._timer = self._loop.call_later(max(seconds, 0.0), self._ring)
