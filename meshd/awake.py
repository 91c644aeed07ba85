"""How long this process was asleep: stopped (SIGSTOP), frozen, or kept from its work.

Owns: the measure, and `Limit`, a timeout that counts the time we were awake.
Must never: judge anybody.

A timer that comes due while we sleep fires before what arrived meanwhile has been read, and measures us instead of
whoever is waited for. So while something is under way, a tick says how late it comes, and a limit gives back what was
slept.
"""

from __future__ import annotations

import asyncio
import weakref

TICK = 0.25  # s
ON_TIME = 0.3  # s that a tick may be late on a busy machine


class Awake:
    """Of one loop. total: seconds slept, as of the last tick."""

    __slots__ = ("__weakref__", "_due", "_loop", "_ticking", "_under_way", "total")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._under_way = 0
        self._ticking = False
        self._due = 0.0
        self.total = 0.0

    def begin(self) -> None:
        """Something is under way whose time is limited."""
        self._under_way += 1
        if not self._ticking:
            self._ticking = True
            self._due = self._loop.time() + TICK
            self._loop.call_at(self._due, self._tick)

    def end(self) -> None:
        self._under_way -= 1

    def asleep(self) -> float:
        """`total`, with what the tick has not seen yet: other timers may come before it."""
        return self.total + self._overdue() if self._ticking else self.total

    def _overdue(self) -> float:
        late = self._loop.time() - self._due
        return late if late > ON_TIME else 0.0

    def _tick(self) -> None:
        self.total += self._overdue()
        self._ticking = self._under_way > 0
        if self._ticking:
            self._due = self._loop.time() + TICK
            self._loop.call_at(self._due, self._tick)


_by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Awake] = weakref.WeakKeyDictionary()


def of_loop(loop: asyncio.AbstractEventLoop | None = None) -> Awake:
    """The running loop's."""
    loop = loop or asyncio.get_running_loop()
    found = _by_loop.get(loop)
    if found is None:
        found = _by_loop[loop] = Awake(loop)
    return found


class Limit:
    """As `asyncio.timeout`, of the time that we were awake, at a third of what that costs on the way of every request.
    Raises TimeoutError."""

    __slots__ = ("_awake", "_cancelled", "_handle", "_loop", "_over", "_seconds", "_slept", "_task")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._over = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "a request runs in a task"
        self._task = task
        self._cancelled = task.cancelling()  # before
        self._loop = loop = asyncio.get_running_loop()
        self._awake = awake = of_loop(loop)
        awake.begin()
        self._slept = awake.asleep()
        self._handle = loop.call_later(self._seconds, self._stop)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._handle.cancel()
        self._awake.end()
        if self._over and self._task.uncancel() <= self._cancelled and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _stop(self) -> None:
        slept = self._awake.asleep()
        if slept > self._slept:
            self._handle = self._loop.call_later(slept - self._slept, self._stop)
            self._slept = slept
            return
        self._over = True
        self._task.cancel()
