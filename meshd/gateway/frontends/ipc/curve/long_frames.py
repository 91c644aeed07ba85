"""Where long frames are sealed and opened: in threads, while the loop serves others.

Owns: these threads, and which user's frame is next.
Must never: work at two frames of one user at a time, or know what a frame means.

libsodium releases the GIL while it works. PyNaCl holds it while it copies, as any copy of a body does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

_THREADS = 2  # so that a user with long frames does not keep others waiting
Made = TypeVar("Made")


class LongFrames:
    """Threads begin with the first frame."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, "meshd-curve")
        self._users: dict[Hashable, deque[tuple[Callable[[], Any], asyncio.Future[Any]]]] = {}
        self._closed = False

    def begin(self, user: Hashable, work: Callable[[], Made]) -> asyncio.Future[Made]:
        """Do this work after what the user has begun before. Work that is cancelled before its turn is not done."""
        made: asyncio.Future[Made] = asyncio.get_running_loop().create_future()
        waiting = self._users.get(user)
        if waiting is not None:
            waiting.append((work, made))
        else:
            self._users[user] = deque([(work, made)])
            self._next(user)
        return made

    def close(self) -> None:
        """Work that begins from now on is done at once, since no other user is served any more that would have to
        wait."""
        self._closed = True
        self._threads.shutdown(wait=False)

    def _work(self, user: Hashable, work: Callable[[], Any], made: asyncio.Future[Any]) -> None:
        running = asyncio.get_running_loop().run_in_executor(self._threads, work)
        running.add_done_callback(partial(self._ended, user, made))

    def _ended(self, user: Hashable, made: asyncio.Future[Any], running: asyncio.Future[Any]) -> None:
        error = running.exception()
        if made.cancelled():
            pass
        elif error is not None:
            made.set_exception(error)
        else:
            made.set_result(running.result())
        self._next(user)

    def _next(self, user: Hashable) -> None:
        waiting = self._users[user]
        while waiting:
            work, made = waiting.popleft()
            if made.cancelled():
                continue
            if not self._closed:
                self._work(user, work, made)
                return
            made.set_result(work())
        del self._users[user]
