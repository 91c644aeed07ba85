"""Whose message is handled next: users take turns, so that a flood of one costs others little.

Owns: the users with messages that wait, and how many are handled before the loop does something else.
Must never: know what a message is.

A user that is alone gets many messages handled at a time. With others around, who has more messages than one turn takes
gets about half of the loop's time: after each turn it pauses for as long as the loop was busy.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable

_ALONE = 64  # messages in one turn of a user that is alone
_AMONG_OTHERS = 4
_AROUND = 1.0  # s that a user counts as present after a message
_LONGEST_PAUSE = 0.05  # s

Worker = Callable[[], bool]
"""Handles one message. Returns whether another one waits."""


class Turns:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._most = _ALONE
        self._handled: Counter[Hashable] = Counter()  # in this iteration of the loop
        self._queues: dict[Hashable, deque[Worker]] = {}
        self._present: dict[Hashable, float] = {}  # user → when it had a message, monotonic s
        self._timer: asyncio.Handle | None = None

    def ready(self, user: Hashable, worker: Worker) -> None:
        """A worker has messages: they are handled now, or when it is the user's turn."""
        self._present[user] = time.monotonic()
        if self._timer is None:
            self._timer = self._loop.call_soon(self._next)
        if user not in self._queues and self._work(user, worker):
            self._queues[user] = deque((worker,))
        elif user in self._queues:
            self._queues[user].append(worker)

    def close(self) -> None:
        self._queues.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _work(self, user: Hashable, worker: Worker) -> bool:
        """Whether its messages were more than this turn takes."""
        more = True
        while more and self._handled[user] < self._most:
            self._handled[user] += 1
            more = worker()
        return more

    def _next(self) -> None:
        began = time.monotonic()
        self._timer = None
        self._handled.clear()
        for user in [user for user, seen in self._present.items() if seen < began - _AROUND]:
            if user not in self._queues:
                del self._present[user]
        self._most = _ALONE if len(self._present) < 2 else _AMONG_OTHERS
        for user, queue in list(self._queues.items()):
            while queue and self._handled[user] < self._most:
                self._handled[user] += 1
                worker = queue.popleft()
                if worker():
                    queue.append(worker)
            if not queue:
                del self._queues[user]
        if self._queues and len(self._present) < 2:
            self._timer = self._loop.call_soon(self._next)
        elif self._queues:
            self._timer = self._loop.call_soon(self._pause, began)

    def _pause(self, began: float) -> None:
        busy = time.monotonic() - began
        self._timer = self._loop.call_later(min(busy, _LONGEST_PAUSE), self._next)
