"""`modelmesh.file.v1`: a file of JSON lines, rotated by size, readable by its owner alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from meshd.host.plain_text import in_json
from meshd.sdk.observability import Entry, Sink


class FileSink(Sink):
    """Settings: `path`, `max_size` (bytes), `keep` (rotated files: path.1 is the newest)."""

    quiet: ClassVar[bool] = False
    buffered: ClassVar[bool] = True

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._path = Path(settings["path"]).expanduser()
        self._max_size = int(settings.get("max_size", 50_000_000))
        self._keep = int(settings.get("keep", 5))
        self._encode = msgspec.json.Encoder().encode
        self._fd = -1
        self._size = 0
        self._rotates = True
        self._lines: list[bytes] = []
        self._open()

    def write(self, entry: Entry) -> None:
        when = datetime.fromtimestamp(entry.at_ns / 1e9, UTC).isoformat(timespec="microseconds")
        line = {"time": when, "stream": entry.stream, "severity": entry.severity, "message": entry.message}
        # A log is also read on terminals.
        self._lines.append(in_json(self._encode(line | entry.fields).decode()).encode() + b"\n")

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
            if self._rotates and self._size and self._size + size > self._max_size:
                self._rotate()
                continue
            view = memoryview(b"".join(self._lines[:taken]))
            try:
                while view:
                    view = view[os.write(self._fd, view) :]
            except OSError:
                # Half a line would make the file unreadable, so it is cut off; the batch is written again.
                with suppress(OSError):
                    os.ftruncate(self._fd, self._size)
                raise
            self._size += size
            del self._lines[:taken]

    def close(self) -> None:
        self._lines.clear()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        found = os.fstat(self._fd)
        self._size, self._rotates = found.st_size, stat.S_ISREG(found.st_mode)  # never a terminal or a pipe

    def _follow(self) -> None:
        """If the file was renamed or removed (logrotate), write to a new one of that name."""
        try:
            found, ours = os.stat(self._path), os.fstat(self._fd) if self._fd >= 0 else None
            if ours is not None and os.path.samestat(found, ours):
                self._size = found.st_size  # smaller than before if the file was copied and truncated
                return
        except FileNotFoundError:
            pass
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

    def _rotate(self) -> None:
        os.close(self._fd)
        self._fd = -1
        for number in range(self._keep, 0, -1):
            source = self._path if number == 1 else Path(f"{self._path}.{number - 1}")
            with suppress(FileNotFoundError):
                os.replace(source, f"{self._path}.{number}")
        self._open()
