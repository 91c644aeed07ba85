"""Whose message is handled next: users take turns, so that a flood from one costs the others little.

Owns: the users with messages that wait, what each has used of the loop's time, and how many messages are handled before
the loop does something else.
Must never: know what a message is.

A user that is alone gets many messages handled at a time. With others around, each may use half of the loop's time, and
little of it at once: after that it waits for as long as its messages took, including what they led to. So a user whose
messages cost more gets fewer of them handled. Of the users that wait, the one that has used least comes first.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import Final

_ALONE: Final = 64  # messages in one turn of a single user
_ALONE_TIME: Final = 0.002  # s of them
_AMONG_OTHERS: Final = 4
_AMONG_OTHERS_TIME: Final = 0.0005
_AROUND: Final = 1.0  # s that a user counts as present after a message
_LOOK_EVERY: Final = 0.1  # s between two looks for users that are no longer present
_LONG: Final = 0.001  # s of what messages led to, after which fewer are handled in the next turn
_SHORTEST_PAUSE: Final = 0.001  # s; the loop's timers have no smaller unit
_LONGEST_PAUSE: Final = 0.05

Worker = Callable[[], bool]
"""Handles one message. Returns whether another one waits."""


class _User:
    """seen: when it last had a message. due: when it has waited for as long as its messages took. Both monotonic s.
    lap: the iteration of the loop in which it had `handled` messages handled."""

    __slots__ = ("due", "handled", "lap", "queue", "seen")

    def __init__(self) -> None:
        self.seen = self.due = 0.0
        self.handled = self.lap = 0
        self.queue: deque[Worker] = deque()

    def took(self, began: float, now: float) -> None:
        """The loop's time was used for it."""
        due = (self.due if self.due > began else began) + 2 * (now - began)
        latest = now + _LONGEST_PAUSE
        self.due = due if due < latest else latest


class Turns:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lap = 0
        self._most = _ALONE
        self._time = _ALONE_TIME
        self._among_others = _AMONG_OTHERS
        self._present: dict[Hashable, _User] = {}
        self._waiting: dict[_User, None] = {}
        self._timer: asyncio.Handle | None = None
        self._looked = 0.0  # when those that are no longer present were last looked for

    def ready(self, user: Hashable, worker: Worker) -> None:
        """A worker has messages: they are handled now, or when it is the user's turn."""
        now = time.monotonic()
        if self._timer is None:
            self._timer = self._loop.call_soon(self._next)
        known = self._present.get(user)
        if known is None:
            known = self._present[user] = _User()
        known.seen = now
        if known.queue:
            known.queue.append(worker)
        elif self._work(known, worker, now):
            known.queue.append(worker)
            self._waiting[known] = None

    @property
    def waiting(self) -> bool:
        """Whether messages wait for the turn of their user."""
        return bool(self._waiting)

    def close(self) -> None:
        self._waiting.clear()
        self._present.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _work(self, user: _User, worker: Worker, now: float) -> bool:
        """Whether its messages were more than this turn takes."""
        if user.lap != self._lap:
            user.lap, user.handled = self._lap, 0
        more = True
        while more and user.handled < self._most and user.due - now < self._time:
            user.handled += 1
            more = worker()
            began, now = now, time.monotonic()
            user.took(began, now)
        return more

    def _next(self) -> None:
        began = now = time.monotonic()
        self._timer = None
        self._lap += 1
        if self._looked < began - _LOOK_EVERY:
            self._looked = began
            for name in [name for name, user in self._present.items() if user.seen < began - _AROUND]:
                if not self._present[name].queue:
                    del self._present[name]
        alone = len(self._present) < 2
        self._most, self._time = (_ALONE, _ALONE_TIME) if alone else (self._among_others, _AMONG_OTHERS_TIME)
        if not self._waiting:
            return
        left = self._most
        for user in sorted(self._waiting, key=_due):
            if alone:
                user.due = began
            while user.queue and left and user.due - now < self._time and now - began < self._time:
                left -= 1
                worker = user.queue.popleft()
                if worker():
                    user.queue.append(worker)
                before, now = now, time.monotonic()
                user.took(before, now)
        self._waiting = {user: None for user in self._waiting if user.queue}
        if self._waiting and alone:
            self._timer = self._loop.call_soon(self._next)
        elif self._waiting:
            self._timer = self._loop.call_soon(self._pause, now)

    def _pause(self, handled: float) -> None:
        """handled: when its messages had been handled, and the loop turned to what they led to."""
        now = time.monotonic()
        part = (now - handled) / len(self._waiting)
        for user in self._waiting:
            user.took(now - part, now)
        long = now - handled > _LONG
        self._among_others = max(self._among_others // 2, 1) if long else min(self._among_others + 1, _AMONG_OTHERS)
        wait = min(map(_due, self._waiting)) - now - self._time
        self._timer = self._loop.call_later(max(wait, _SHORTEST_PAUSE) if wait > 0 else 0, self._next)


def _due(user: _User) -> float:
    """The user that has used least of the loop's time comes first."""
    return user.due
