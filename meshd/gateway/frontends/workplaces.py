"""Finds out where callers work, while their requests are answered.

Owns: the threads that look, and what they have found. Must never: keep the router's loop waiting, or let one user's
directories that never answer keep others' from being looked at: a user has one thread, and all have MOST_THREADS.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable

from meshd.core.caller import Peer
from meshd.host.process import workplace
from meshd.host.process.processes import sees_other_programs

MOST_THREADS = 4
MOST_KEPT = 1024
KNOWN_IN = 0.5  # s that something waits, at most, until it is known where a caller works
_LOOK_EVERY = 0.02  # s
_MOST_WAITING = 64  # of one user
_FRESH = 30.0  # s after which a process is looked at again


class Workplace:
    """project: the repository, "" if there is none or while it is not known. done: it will not change any more."""

    __slots__ = ("done", "project", "since")

    def __init__(self, project: str = "", *, done: bool = False) -> None:
        self.project = project
        self.done = done
        self.since = time.monotonic()

    async def known(self) -> None:
        """Returns when it is done, or after KNOWN_IN."""
        for _ in range(round(KNOWN_IN / _LOOK_EVERY)):
            if self.done:
                return
            await asyncio.sleep(_LOOK_EVERY)


NOWHERE = Workplace(done=True)

Look = Callable[[Peer], str]


class Workplaces:
    """look: finds a caller's project; it may take as long as it wants. others: whether it may look at the processes of
    other users."""

    def __init__(self, look: Look | None = None, others: bool | None = None) -> None:
        self._look = look or _look
        self._others = sees_other_programs() if others is None else others
        self._known: OrderedDict[Hashable, Workplace] = OrderedDict()
        self._lock = threading.Lock()
        self._waiting: dict[int, deque[tuple[Peer, Workplace]]] = {}  # by the users that have a thread

    def of(self, caller: Peer) -> Workplace:
        """Where the caller works, which is looked up if it is not known."""
        key = _key(caller)
        if key is None or not (self._others or caller.uid == os.getuid()):
            return NOWHERE
        known = self._known.get(key)
        if known is not None and (not known.done or time.monotonic() - known.since < _FRESH):
            return known
        found = self._known[key] = Workplace(known.project if known else "")
        self._known.move_to_end(key)
        if len(self._known) > MOST_KEPT:
            self._known.popitem(last=False)
        if not self._begin(caller, found):
            found.done = True
        return found

    def _begin(self, caller: Peer, found: Workplace) -> bool:
        with self._lock:
            waiting = self._waiting.get(caller.uid)
            if waiting is not None:
                if len(waiting) >= _MOST_WAITING:
                    return False
                waiting.append((caller, found))
                return True
            if len(self._waiting) >= MOST_THREADS:
                return False
            self._waiting[caller.uid] = deque([(caller, found)])
        thread = threading.Thread(target=self._work, args=(caller.uid,), name="meshd-workplace", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads
            del self._waiting[caller.uid]
            return False
        return True

    def _work(self, uid: int) -> None:
        while True:
            with self._lock:
                waiting = self._waiting[uid]
                if not waiting:
                    del self._waiting[uid]
                    return
                caller, found = waiting.popleft()
            try:
                found.project = self._look(caller)
            except Exception:
                found.project = ""
            finally:
                found.done = True


def _key(caller: Peer) -> Hashable:
    if caller.pid and caller.started:
        return caller.uid, caller.pid, caller.started
    return (caller.uid, caller.socket) if caller.socket else None


def _look(caller: Peer) -> str:
    pid, started = caller.pid, caller.started
    if not pid:
        pid, started = workplace.holder_of(caller.uid, caller.socket)
    return workplace.project_of(pid, started, caller.uid) if pid else ""
