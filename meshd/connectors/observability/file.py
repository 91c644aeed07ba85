"""`modelmesh.file.v1`: a file of JSON lines, rotated by size and time, readable by its owner alone.

Must never: write to a file that another program has renamed (logrotate), or leave half a line.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from meshd.connectors.observability.lines import as_json
from meshd.sdk.observability import Entry, Sink

_NEXT_WITHIN = 0.5  # s that another program has to create the next file after it renamed this one
_LOOKS_EVERY = 0.01  # s


class FileSink(Sink):
    """Settings: `path`, `max_size` (bytes), `rotate_every` (seconds), `keep` (rotated files: path.1 is the newest)."""

    quiet: ClassVar[bool] = False
    buffered: ClassVar[bool] = True

    def __init__(self, settings: Mapping[str, Any], *, now: Callable[[], float] = time.time) -> None:
        self._path = Path(os.path.expanduser(settings["path"]))
        self._max_size = int(settings.get("max_size", 50_000_000)) or (1 << 62)
        self._every = float(settings.get("rotate_every") or 0.0)
        self._keep = int(settings.get("keep", 5))
        self._now = now
        self._fd = -1
        self._size = 0
        self._rotates = True
        self._period = 0  # that of the last line in the file
        self._lines: list[bytes] = []
        self._open()

    def write(self, entry: Entry) -> None:
        self._lines.append(as_json(entry) + b"\n")

    def flush(self) -> None:
        if self._lines:
            self._follow()
        while self._lines:
            room = max(1, self._max_size - self._size) if self._rotates else self._max_size
            taken, size = 0, 0
            for line in self._lines:
                if taken and size + len(line) > room:
                    break
                taken += 1
                size += len(line)
            if self._rotates and self._size and (self._size + size > self._max_size or self._is_over()):
                self._rotate()
                continue
            self._append(b"".join(self._lines[:taken]))
            del self._lines[:taken]

    def close(self) -> None:
        self._lines.clear()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _append(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            # Half a line would make the file unreadable, so it is cut off; the batch is written again.
            with suppress(OSError):
                os.ftruncate(self._fd, self._size)
            raise
        self._size += len(data)
        self._period = self._period_of(self._now())

    def _is_over(self) -> bool:
        """Whether the period that the file's lines belong to is over."""
        return bool(self._every) and self._period_of(self._now()) != self._period

    def _period_of(self, at: float) -> int:
        return int(at // self._every) if self._every else 0

    def _open(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        found = os.fstat(self._fd)
        self._close_to_others(found)
        self._size, self._rotates = found.st_size, stat.S_ISREG(found.st_mode)  # never a terminal or a pipe
        self._period = self._period_of(found.st_mtime)

    def _follow(self) -> None:
        """If the file was renamed or removed (logrotate), write to a new one of that name."""
        try:
            found, ours = os.stat(self._path), os.fstat(self._fd) if self._fd >= 0 else None
            if ours is not None and os.path.samestat(found, ours):
                self._size = found.st_size  # smaller than before if the file was copied and truncated
                self._close_to_others(found)  # logrotate sets a file's mode only after creating it
                return
        except FileNotFoundError:
            if self._fd >= 0:
                self._await_the_next()
        before = self._fd
        self._fd = -1
        try:
            self._open()
        except OSError:
            self._fd = before  # the old file is better than none
            if before < 0:
                raise
            return
        if before >= 0:
            os.close(before)

    def _await_the_next(self) -> None:
        """Let another program that renamed the file create the next one. If this sink did so first, logrotate would
        move that file to `….backup`, over the last such file."""
        until = time.monotonic() + _NEXT_WITHIN
        while self._path.parent.exists() and not self._path.exists() and time.monotonic() < until:
            time.sleep(_LOOKS_EVERY)

    def _close_to_others(self, found: os.stat_result) -> None:
        if found.st_mode & 0o007 and stat.S_ISREG(found.st_mode):
            with suppress(OSError):  # another user's file
                os.fchmod(self._fd, stat.S_IMODE(found.st_mode) & ~0o007)

    def _rotate(self) -> None:
        os.close(self._fd)
        self._fd = -1
        for number in range(self._keep, 0, -1):
            source = self._path if number == 1 else Path(f"{self._path}.{number - 1}")
            with suppress(FileNotFoundError):
                os.replace(source, f"{self._path}.{number}")
        self._open()
