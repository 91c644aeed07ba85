"""Named locks of file storages: one flock each, released by the kernel when the holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from urllib.parse import quote

from meshd.sdk.storage import StorageError

_POLL = 0.05  # s: flock has no timeout of its own


class FileLocks:
    def __init__(self, directory: Path, prefix: str = "") -> None:
        self._directory = directory
        self._prefix = prefix
        self._held: dict[str, int] = {}

    def acquire(self, name: str, timeout: float = 0.0) -> bool:
        if name in self._held:
            return False
        try:
            fd = os.open(self._path(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageError(f"cannot lock {self._path(name)}: {error.strerror}") from error
        until = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if time.monotonic() >= until:
                    os.close(fd)
                    return False
                time.sleep(_POLL)
            else:
                self._held[name] = fd
                return True

    def release(self, name: str) -> None:
        fd = self._held.pop(name, None)
        if fd is not None:
            os.close(fd)

    def is_locked(self, name: str) -> bool:
        if name in self._held:
            return True
        try:
            fd = os.open(self._path(name), os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        else:
            return False
        finally:
            os.close(fd)

    def release_all(self) -> None:
        for name in list(self._held):
            self.release(name)

    def _path(self, name: str) -> Path:
        return self._directory / f"{self._prefix}{quote(name, safe='')}.lock"
