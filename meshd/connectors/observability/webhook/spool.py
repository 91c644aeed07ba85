"""Batches of lines on disk, in order, until they are delivered.

Owns: a folder. Each batch is a file. Its name contains its number and its id, which stays the same however often it is
delivered. The newest is `.open` and takes lines until it is large or old enough; then it becomes a `.batch`.
Must never: lose an added line when the process is killed, grow beyond its bound, or let another user read it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from modelmesh.wording import counted

MOST_BYTES = 1024 * 1024
"""Of a batch, unless one line is longer."""
_OPEN, _WHOLE = ".open", ".batch"


class Gone(Exception):
    """The file of a batch was removed or emptied by someone else."""


@dataclass(slots=True)
class Batch:
    """size: bytes. began: when its first line was added, by the spool's clock."""

    path: Path
    lines: int
    size: int
    began: float

    @property
    def id(self) -> str:
        """The same for every delivery, and not for any other batch."""
        return self.path.stem

    @property
    def number(self) -> int:
        return int(self.path.name.partition("-")[0])


class Spool:
    """Used by two threads: one adds lines, one takes batches. batch_interval: seconds. max_size: bytes."""

    def __init__(
        self,
        folder: Path,
        *,
        batch_size: int,
        batch_interval: float,
        max_size: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises OSError, also if another process, or another sink of this one, is using the folder."""
        self._folder = folder
        self._batch_size = batch_size
        self._interval = batch_interval
        self._max_size = max_size
        self._clock = clock
        self._changed = threading.Condition()
        self._whole: deque[Batch] = deque()
        self._open: Batch | None = None
        self._fd = -1
        self._size = 0
        self._lines = 0
        self._stopped = False
        self._lock = self._locked()
        try:
            self._find()
        except OSError:
            os.close(self._lock)
            raise
        self._number = max((batch.number for batch in self._whole), default=0)

    @property
    def stopped(self) -> bool:
        return self._stopped

    @property
    def waiting(self) -> int:
        """Lines that are not delivered yet."""
        return self._lines

    def add(self, line: bytes) -> None:
        """line: without a line break. Raises OSError; then nothing of the line is kept."""
        data = line + b"\n"
        with self._changed:
            if self._size + len(data) > self._max_size:
                raise OSError(errno.ENOSPC, f"{self._folder} is full (max_size)")
            if self._open is not None and not os.fstat(self._fd).st_nlink:
                self._seal()  # the file was removed, so a line in it would be lost
            if self._open is None:
                self._begin()
            assert self._open is not None
            self._write(data, self._open.size)
            self._open.lines += 1
            self._open.size += len(data)
            self._size += len(data)
            self._lines += 1
            if self._open.lines >= self._batch_size or self._open.size >= MOST_BYTES:
                with suppress(OSError):
                    self._seal()
            elif self._open.lines == 1:
                self._changed.notify_all()  # it is due later

    def take(self, timeout: float) -> Batch | None:
        """The oldest batch, which stays until `done`. None: there was none within these seconds, or the spool was
        stopped and is empty. Raises OSError."""
        until = time.monotonic() + timeout
        with self._changed:
            while True:
                if self._open is not None and (self._stopped or self._due_in() <= 0):
                    self._seal()
                if self._whole:
                    return self._whole[0]
                left = until - time.monotonic()
                if left <= 0 or self._stopped:
                    return None
                self._changed.wait(min(left, max(self._due_in(), 0.001)))

    def read(self, batch: Batch) -> tuple[list[bytes], float]:
        """Its lines, and when the last was added (UTC s). Raises Gone, and OSError if it may be readable later."""
        try:
            with batch.path.open("rb") as file:
                lines, at = file.read().splitlines(), os.fstat(file.fileno()).st_mtime
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            lines = []
        if not lines:
            held = counted(batch.lines, "entry", "entries")
            raise Gone(f"{batch.path}, with {held}, was removed before it was delivered")
        return lines, at

    def done(self, batch: Batch) -> None:
        """Remove a batch that was delivered or given up. Raises OSError if its file cannot be removed; the next process
        finds it again then."""
        with self._changed:
            self._whole.remove(batch)
            self._size -= batch.size
            self._lines -= batch.lines
        with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            batch.path.unlink()

    def stop(self) -> None:
        """Nothing more will be added, so what is there can be taken at once."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def close(self) -> None:
        """Release the folder. Idempotent."""
        with self._changed:
            if self._open is not None:
                with suppress(OSError):
                    self._seal()
            if self._lock >= 0:
                os.close(self._lock)
                self._lock = -1

    # -- inside ---------------------------------------------------------------------------------------

    def _locked(self) -> int:
        """The descriptor of the lock in the folder, which is created if it is not there. Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            if isinstance(error, BlockingIOError):
                raise OSError(error.errno, f"{self._folder} is in use; give each sink a path of its own") from None
            raise
        return lock

    def _find(self) -> None:
        """Find what an earlier process left."""
        found = [path for path in self._folder.iterdir() if path.suffix in (_OPEN, _WHOLE)]
        for path in sorted(found, key=lambda path: path.stem):
            data = path.read_bytes()
            whole = data[: data.rfind(b"\n") + 1]
            if not whole:
                path.unlink()
                continue
            if len(whole) < len(data):  # the machine stopped in the middle of a line
                os.truncate(path, len(whole))
            sealed = path.with_suffix(_WHOLE)
            os.replace(path, sealed)
            self._whole.append(Batch(sealed, whole.count(b"\n"), len(whole), self._clock()))
            self._size += len(whole)
            self._lines += self._whole[-1].lines

    def _begin(self) -> None:
        if not os.fstat(self._lock).st_nlink:  # the folder was removed or emptied
            lock = self._locked()
            os.close(self._lock)
            self._lock = lock
        name = f"{self._number + 1:016d}-{secrets.token_hex(8)}{_OPEN}"
        path = self._folder / name
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._number += 1
        self._open = Batch(path, 0, 0, self._clock())

    def _write(self, data: bytes, size: int) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            os.ftruncate(self._fd, size)
            raise

    def _seal(self) -> None:
        assert self._open is not None
        batch = self._open
        if batch.lines:
            sealed = batch.path.with_suffix(_WHOLE)
            with suppress(FileNotFoundError, NotADirectoryError):  # `read` says that it is gone
                os.replace(batch.path, sealed)
            batch.path = sealed
            self._whole.append(batch)
        else:
            with suppress(FileNotFoundError, NotADirectoryError):
                batch.path.unlink()
        os.close(self._fd)
        self._fd, self._open = -1, None
        self._changed.notify_all()

    def _due_in(self) -> float:
        """Seconds until the open batch is to be delivered."""
        return self._open.began + self._interval - self._clock() if self._open is not None else 60.0
