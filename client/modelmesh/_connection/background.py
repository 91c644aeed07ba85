"""The process's only background thread: heartbeats, and work that finalizers may not do themselves.

Must never: take part in a request, or start before the first one.

Finalizers run anywhere, also in a thread that holds a connection's lock, so they only put a job into a
`SimpleQueue`, whose `put` is safe there.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Final

_FIRST_LOOK_SECONDS: Final = 0.1
_LONGEST_SLEEP_SECONDS: Final = 30.0


class KeptAlive:
    """What the thread keeps alive."""

    closed: bool

    def keep_alive(self) -> float:
        """One heartbeat; returns seconds until the next one."""
        raise NotImplementedError


class _Thread:
    """The thread's state; a new one in every process."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        self.connections: weakref.WeakSet[KeptAlive] = weakref.WeakSet()
        self.due: weakref.WeakKeyDictionary[KeptAlive, float] = weakref.WeakKeyDictionary()
        self.started = False
        self.lock = threading.RLock()

    def run(self) -> None:
        while True:
            try:
                wait = self._round()
                job = self.jobs.get(timeout=max(0.0, wait))
            except Empty:
                continue
            except Exception:  # one connection's failure must not end the others' heartbeat
                _report()
                continue
            try:
                job()
            except Exception:
                _report()
            del job

    def _round(self) -> float:
        """Serve the connections that are due; returns seconds until the next one is."""
        now = time.monotonic()
        wait = _LONGEST_SLEEP_SECONDS
        with self.lock:
            connections = [connection for connection in self.connections if not connection.closed]
        for connection in connections:
            at = self.due.setdefault(connection, now + _FIRST_LOOK_SECONDS)
            if at <= now:
                self.due[connection] = now + _FIRST_LOOK_SECONDS
                at = self.due[connection] = now + connection.keep_alive()
            wait = min(wait, at - now)
        return wait


_thread = _Thread()


def keep_alive(connection: KeptAlive) -> None:
    """Send its heartbeats from now on, until it is closed."""
    thread = _thread
    with thread.lock:
        thread.connections.add(connection)
        started, thread.started = thread.started, True
    if started:
        later(_nothing)
    else:
        threading.Thread(target=thread.run, name="modelmesh-background", daemon=True).start()


def later(job: Callable[[], Any]) -> None:
    """Let the thread run a job soon. Safe in a finalizer."""
    _thread.jobs.put(job)


def _report() -> None:
    import logging

    logging.getLogger("modelmesh").exception("the background work of a connection failed")


def _nothing() -> None:
    return None


def _forget_parent() -> None:
    global _thread
    _thread = _Thread()


os.register_at_fork(after_in_child=_forget_parent)
