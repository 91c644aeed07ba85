"""One daemon per state directory: a lock that names its holder.

Owns: STATE_DIR/lock. Must never: take the lock away from its holder; the kernel releases it when the holder dies.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shlex
from pathlib import Path


class StateLocked(Exception):
    """Another daemon uses this state directory. pid: its process, 0 if unknown."""

    def __init__(self, directory: Path, pid: int) -> None:
        self.pid = pid
        holder, stop = f"meshd with process id {pid}" if pid else "another meshd", "stop it"
        if pid == os.getpid():
            holder, stop = "another mesh of this process", "shut it down"
        super().__init__(
            f"the state directory {directory} is in use by {holder}: {stop}, or give this one another daemon.state_dir"
        )


class StateLock:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._fd = -1

    def acquire(self) -> None:
        """Raises StateLocked, or OSError if the directory cannot be written."""
        if self._fd >= 0:
            return
        path = self._directory / "lock"
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise OSError(error.errno, f"lock is a symbolic link: run `rm {shlex.quote(str(path))}`") from None
            raise
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StateLocked(self._directory, _pid_in(fd)) from None
            os.ftruncate(fd, 0)
            os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd

    def lost(self) -> bool:
        """Whether the lock protects nothing any more, because its file is gone."""
        try:
            return self._fd >= 0 and not os.path.samestat(os.fstat(self._fd), os.stat(self._directory / "lock"))
        except OSError:
            return True

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _pid_in(fd: int) -> int:
    try:
        return int(os.pread(fd, 32, 0).strip() or 0)
    except (OSError, ValueError):
        return 0
