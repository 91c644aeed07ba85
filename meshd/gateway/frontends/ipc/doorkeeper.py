"""Lets libzmq accept one connection at a time, and none while descriptors are short.

Owns: the readiness of a listening socket in the epoll of libzmq's I/O thread.
Must never: accept, close or read anything, or touch the epoll once libzmq may have closed the socket.

libzmq aborts the process if accept(2) finds no descriptor (`ipc_listener.cpp`), and accepts too fast for a check in
between. So its listening socket is made one-shot: the kernel wakes libzmq for one connection only, until the socket is
armed again here, if there is room. Until then, clients that connect wait in the kernel's queue, as with any busy
server. Without /proc, or if libzmq does not use epoll, this has no effect.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import platform
import re
from collections.abc import Callable

from meshd.host import descriptors

_MOD = 3
_IN, _ONESHOT = 0x001, 1 << 30
_AGAIN = 0.05  # s between checks for room
_APPEARS = 0.002  # s between checks whether libzmq's own thread has registered it
_LOOKS = 500
_ROW = re.compile(r"^tfd:\s*(\d+)\s+events:\s*([0-9a-f]+)\s+data:\s*([0-9a-f]+)", re.M)


class _Event(ctypes.Structure):
    if platform.machine() in ("x86_64", "AMD64"):
        _pack_ = 1  # epoll_ctl(2): packed on x86-64 alone
    _fields_ = (("events", ctypes.c_uint32), ("data", ctypes.c_uint64))


class Doorkeeper:
    """listening: our descriptor of the socket. theirs: libzmq's. full: called once when a client has to wait."""

    def __init__(self, loop: asyncio.AbstractEventLoop, listening: int, theirs: int, full: Callable[[], None]) -> None:
        self._loop = loop
        self._listening = listening
        self._theirs = theirs
        self._full = full
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._epoll = -1
        self._data = 0
        self._told = False
        self._timer: asyncio.TimerHandle | None = None
        self._looks = 0
        self._look()

    def close(self) -> None:
        """Before libzmq's socket is closed. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._listening >= 0:
            self._loop.remove_reader(self._listening)
            os.close(self._listening)
            self._listening = -1

    def _look(self) -> None:
        """libzmq's thread registers the socket only after bind has returned."""
        self._timer = None
        found = _registered(self._theirs)
        self._looks += 1
        if found is not None:
            self._epoll, self._data = found
            self._wait()
        elif self._looks < _LOOKS:
            self._timer = self._loop.call_later(_APPEARS, self._look)

    def _wait(self) -> None:
        self._timer = None
        if self._arm(0):  # disarmed: connections now come here first
            self._loop.add_reader(self._listening, self._knocked)

    def _knocked(self) -> None:
        if descriptors.left(descriptors.LAST):
            self._told = False
            self._arm(_IN)
            return
        if not self._told:
            self._told = True
            self._full()
        self._loop.remove_reader(self._listening)
        self._timer = self._loop.call_later(_AGAIN, self._wait)

    def _arm(self, events: int) -> bool:
        event = _Event(events | _ONESHOT, self._data)
        done: int = self._libc.epoll_ctl(self._epoll, _MOD, self._theirs, ctypes.byref(event))
        return done == 0


def _registered(theirs: int) -> tuple[int, int] | None:
    """The epoll that waits for it, and its key there."""
    try:
        for name in os.listdir("/proc/self/fd"):
            if _target(name) != "anon_inode:[eventpoll]":
                continue
            with open(f"/proc/self/fdinfo/{name}") as file:
                rows = _ROW.findall(file.read())
            for number, _, data in rows:
                if int(number) == theirs:
                    return int(name), int(data, 16)
    except (OSError, ValueError):
        pass
    return None


def _target(name: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{name}")
    except OSError:  # the directory's own descriptor, closed by now
        return ""
