"""Finds the working directories of callers, while their requests are answered.

Owns: the threads that look, and what they have found. Must never: keep the router's loop waiting, or let one user's
directories that never answer keep others' from being looked at: a user has one thread, and all have MOST_THREADS.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Final

from meshd.core.caller import Peer
from meshd.host.process import workplace
from meshd.host.process.processes import sees_other_programs

MOST_THREADS = 4
MOST_KEPT = 1024
KNOWN_IN: Final = 0.5  # s: the longest that anything waits to learn where a caller works
_LOOK_EVERY = 0.02  # s
_MOST_WAITING = 64  # of one user
_AT_ONCE, _IN_TIME, _LONGEST_REST = 0.2, 0.1, 0.25  # looking for a user: s at a stretch, s in each second, s of rest
_MOST_USERS = 64
_LIKELY = 16  # processes of a user that had sockets most recently
_FRESH: Final = 30.0  # s after which a process is looked at again


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


NOWHERE: Final = Workplace(done=True)

Look = Callable[[Sequence[Peer]], Sequence[str]]


class Workplaces:
    """look: finds the projects of callers of one user; it may take as long as it wants. others: whether it may look at
    the processes of other users."""

    def __init__(self, look: Look | None = None, others: bool | None = None) -> None:
        self._look = look or _Looking()
        self._others = sees_other_programs() if others is None else others
        self._known: OrderedDict[Hashable, Workplace] = OrderedDict()
        self._lock = threading.Lock()
        self._spent: dict[int, tuple[float, float]] = {}  # user → s of looking, and until when they were counted
        self._waiting: dict[int, list[tuple[Peer, Workplace]]] = {}  # by the users that have a thread

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
            self._waiting[caller.uid] = [(caller, found)]
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
                asked = self._waiting[uid]
                if not asked:
                    del self._waiting[uid]
                    return
                self._waiting[uid] = []
            began = time.monotonic()
            try:
                projects = self._look([caller for caller, _ in asked])
            except Exception:
                projects = [""] * len(asked)
            for (_, found), project in zip(asked, projects, strict=True):
                found.project = project
                found.done = True
            self._rest(uid, began)

    def _rest(self, uid: int, began: float) -> None:
        """Many short connections must not take the interpreter from the router: beyond some time, looking for a user
        pauses, and the callers that wait by then are looked up together."""
        now = time.monotonic()
        spent, at = self._spent.get(uid, (0.0, began))
        spent = max(spent - (began - at) * _IN_TIME, 0.0) + now - began
        if len(self._spent) >= _MOST_USERS:
            self._spent.clear()
        self._spent[uid] = spent, now
        if spent > _AT_ONCE:
            time.sleep(min((spent - _AT_ONCE) / _IN_TIME, _LONGEST_REST))


def _key(caller: Peer) -> Hashable:
    if caller.pid and caller.started:
        return caller.uid, caller.pid, caller.started
    return (caller.uid, caller.socket) if caller.socket else None


class _Looking:
    """Remembers the processes that had sockets: most clients connect again."""

    def __init__(self) -> None:
        self._holders: dict[int, deque[int]] = {}  # by user

    def __call__(self, callers: Sequence[Peer]) -> list[str]:
        uid, sockets = callers[0].uid, {caller.socket for caller in callers if not caller.pid and caller.socket}
        holders: dict[int, tuple[int, int]] = {}
        if sockets:
            likely = self._holders.setdefault(uid, deque(maxlen=_LIKELY))
            holders = workplace.holders_of(uid, sockets, [*likely])
            likely.extendleft({pid for pid, _ in holders.values()} - {*likely})
        return [self._project(caller, holders) for caller in callers]

    def _project(self, caller: Peer, holders: Mapping[int, tuple[int, int]]) -> str:
        pid, started = (caller.pid, caller.started) if caller.pid else holders.get(caller.socket, (0, 0))
        return workplace.project_of(pid, started, caller.uid) if pid else ""
