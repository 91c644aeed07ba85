"""Whether this process is awake: not stopped (SIGSTOP), frozen, or blocked.

Owns: the tick that `clock` depends on, and `Timeout`, which counts that clock's time.
Must never: decide what a timeout means.

A timer that comes due while the process sleeps fires before the messages that came during the sleep are read. It would
measure our sleep instead of the peer's silence. So while anything has a time limit, a tick shows that the loop runs; if
the tick is late, our clock stands still. Whatever arrived in time is read before any limit counts.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

from meshd.host import clock

TICK = 0.25  # s
ON_TIME = 0.3  # s that a tick may be late on a busy machine
TO_READ = 0.5  # s after a sleep during which no limit applies, to read what is in the sockets


class Awake:
    """One loop's part in driving the clock. The first loop with a time limit drives the clock, and another takes over
    when it ends, so that no sleep is counted twice."""

    __slots__ = ("_ticking", "_under_way", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._under_way = 0
        self._ticking = False

    def begin(self) -> None:
        """Something with a time limit is under way."""
        self._under_way += 1
        if self._under_way == 1:
            self._tell()
            if not self._ticking:
                self._ticking = True
                self.loop.call_later(TICK, self._tick)

    def end(self) -> None:
        global _teller
        self._under_way -= 1
        if not self._under_way and _teller is self:
            _teller = None
            _told(clock.awake_for(None))

    def _tick(self) -> None:
        self._ticking = self._under_way > 0
        if self._ticking:
            self._tell()
            self.loop.call_later(TICK, self._tick)

    def _tell(self) -> None:
        global _teller
        if _teller is None or _teller.loop.is_closed():
            _teller = self
        if _teller is self:
            _told(clock.awake_for(TICK + ON_TIME))


_teller: Awake | None = None
_woke = float("-inf")  # when the last sleep ended, of `time.monotonic`


def _told(overslept: bool) -> None:
    global _woke
    if overslept:
        _woke = time.monotonic()


class _Here(threading.local):
    awake: Awake | None = None


_here = _Here()


def of_running_loop() -> Awake:
    """The running loop's instance."""
    loop, found = asyncio.get_running_loop(), _here.awake
    if found is None or found.loop is not loop:
        found = _here.awake = Awake(loop)
    return found


def left_until(deadline: float) -> float:
    """Seconds until a deadline of `clock` applies, 0.0 when it does. It never applies during a sleep, nor before
    messages that came during the sleep are read."""
    left = deadline - clock.now()
    if left > 0.0:
        return left
    return TO_READ if clock.sleeps() or time.monotonic() < _woke + TO_READ else 0.0


class Timeout:
    """As `asyncio.timeout`, but counts only the time that we were awake, and costs a third. Raises TimeoutError."""

    __slots__ = ("_awake", "_cancelled", "_deadline", "_handle", "_over", "_seconds", "_task")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._over = False
        self._task: asyncio.Task[Any] | None = None  # while the time passes

    def __enter__(self) -> None:
        self._awake = awake = of_running_loop()
        task = asyncio.current_task(awake.loop)
        assert task is not None, "a request runs in a task"
        self._task = task
        self._cancelled = task.cancelling()  # before
        awake.begin()
        self._deadline = clock.now() + self._seconds
        self._handle = awake.loop.call_later(self._seconds, self._stop)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._handle.cancel()
        self._awake.end()
        task, self._task = self._task, None  # the frames of a cancelled task's exception may hold this
        if self._over and task is not None and task.uncancel() <= self._cancelled and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def extend(self, seconds: float) -> None:
        """Start the time limit again, unless that would make it earlier."""
        self._deadline = max(self._deadline, clock.now() + seconds)

    def _stop(self) -> None:
        left = left_until(self._deadline)
        if left > 0.0:
            self._handle = self._awake.loop.call_later(left, self._stop)
            return
        self._over = True
        if self._task is not None:
            self._task.cancel()
