"""The kernel's reports of changes in directories: inotify, by libc.

Owns: one descriptor, and when a burst of reports has ended.
Must never: read a file, or a report's content: who waits looks at the files.
"""

from __future__ import annotations

import ctypes
import os
import select
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

_MODIFY, _ATTRIB, _CLOSE_WRITE = 0x2, 0x4, 0x8
_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF = 0x400, 0x800
_ONLY_DIRECTORIES = 0x01000000
_CONTENT = _MODIFY | _ATTRIB | _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
_WANTED = _CONTENT | _DELETE_SELF | _MOVE_SELF | _ONLY_DIRECTORIES
_READ = 64 * 1024  # bytes


class Reports:
    """Of the directories themselves, not of those below them. A context manager.

    Raises OSError if the kernel watches no more directories for this user, if one of these is not there, or if no
    descriptor is left.
    """

    def __init__(self, directories: Sequence[Path]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._ended, self._end = socket.socketpair()
        descriptor = _checked(libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK), "inotify_init1")
        self._file = open(descriptor, "rb", buffering=0)  # noqa: SIM115  # closed by __exit__, or with this object
        for directory in directories:
            _checked(libc.inotify_add_watch(descriptor, os.fsencode(directory), _WANTED), str(directory))
        self._ending, self._reported = select.poll(), select.poll()
        self._ending.register(self._ended, select.POLLIN)
        self._reported.register(self._ended, select.POLLIN)
        self._reported.register(descriptor, select.POLLIN)

    def __enter__(self) -> Reports:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        self._ended.close()
        self._end.close()

    def end(self) -> None:
        """End every wait. Another thread may call it, at any time."""
        self._end.close()

    def wait(self, seconds: float, step: float, debounce: float) -> bool:
        """Whether there was a report within `seconds`. A burst has ended if none came for `step` seconds, or after
        `debounce`."""
        if not self._reported.poll(seconds * 1000) or not self._drain():
            return False
        end = time.monotonic() + debounce
        while not self._ending.poll(step * 1000) and self._drain() and time.monotonic() < end:
            pass
        return True

    def _drain(self) -> bool:
        some = False
        while self._file.read(_READ):  # None once there is nothing more
            some = True
        return some


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result
