"""Linux's own news of changes in directories, inotify(7): whoever waits for it costs nothing meanwhile.

Owns: one inotify instance, and the descriptor that ends a wait from another thread.
Must never: say what has changed.

The C library's three functions are called as they are: watchfiles looks 20 times a second whether there is any news
(its loop sleeps and asks), and the thin wrappers of inotify start a compiler or ldconfig to find the C library.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

_MODIFY, _ATTRIB, _CLOSE_WRITE = 0x002, 0x004, 0x008
_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x040, 0x080, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF, _ONLY_DIRECTORIES = 0x400, 0x800, 0x01000000
_CHANGES = (
    _MODIFY | _ATTRIB | _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF
) | _ONLY_DIRECTORIES
_AT_ONCE = 65536  # bytes of news read at once


class Inotify:
    """Raises OSError where the system has no more of them to give. A context manager."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._ended = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            self._news = self._called(self._libc.inotify_init1, os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            os.close(self._ended)
            raise
        self._poll = select.poll()
        self._poll.register(self._news, select.POLLIN)
        self._poll.register(self._ended, select.POLLIN)
        self._watched: set[int] = set()
        self._open = threading.Lock()

    def __enter__(self) -> Inotify:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._open:
            os.close(self._news)
            os.close(self._ended)
            self._news = self._ended = -1

    def follow(self, directories: Iterable[Path]) -> None:
        """Hear of these and of no others. To be said again after every change: another may be in one's place."""
        watched = {number for path in directories if (number := self._watch(path)) is not None}
        for number in self._watched - watched:
            self._libc.inotify_rm_watch(self._news, number)  # fails where its directory is gone, and that is all right
        self._watched = watched

    def wait(self, seconds: float) -> bool:
        """Until there is news, or `end` was called; False when neither came in time."""
        return bool(self._poll.poll(seconds * 1000))

    def forget(self) -> None:
        """The news so far has been heard."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._news, _AT_ONCE):
                pass

    def end(self) -> None:
        """Nobody waits any longer. From any thread, at any time."""
        with self._open:
            if self._ended >= 0:
                os.eventfd_write(self._ended, 1)

    def _watch(self, directory: Path) -> int | None:
        try:
            return self._called(self._libc.inotify_add_watch, self._news, os.fsencode(directory), _CHANGES)
        except (FileNotFoundError, NotADirectoryError):  # gone again
            return None

    @staticmethod
    def _called(function: ctypes._NamedFuncPointer, *given: object) -> int:
        result = int(function(*given))
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result
