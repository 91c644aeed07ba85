"""Claiming the socket's path: directory, lock, stale files.

Owns: the claim on a socket's path.
Must never: remove a socket that a process serves, or bind one.

libzmq removes any file at the path it binds, so without a claim two daemons would steal each other's socket. The claim
is a lock on `PATH.lock`, which the kernel releases when its holder dies; a daemon without such a lock (another version,
another program) is found by connecting.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
from pathlib import Path

from meshd.host.process.processes import peer_credentials
from modelmesh.errors import MeshError

_LONGEST_PATH = 107  # bytes of sockaddr_un.sun_path, less the final zero


class SocketTaken(MeshError):
    """Another process serves this socket, or it cannot be created."""

    code = "socket_taken"


class Claim:
    """The right to bind `path`, until `release`. Raises SocketTaken if another process has it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if len(os.fsencode(path)) > _LONGEST_PATH:
            raise SocketTaken(f"the socket's path is longer than {_LONGEST_PATH} bytes: {path}")
        make_directory(path)
        self._lock = self._take_lock()
        try:
            self._remove_stale()
        except SocketTaken:
            self.release()
            raise

    def release(self) -> None:
        """Give it back. Idempotent."""
        if self._lock >= 0:
            with contextlib.suppress(OSError):
                os.unlink(f"{self.path}.lock")
            os.close(self._lock)
            self._lock = -1

    def _take_lock(self) -> int:
        try:
            lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise SocketTaken(f"{self.path}.lock is a symbolic link; remove it") from None
            raise SocketTaken(f"cannot write in {self.path.parent}: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(lock, 32, 0).decode(errors="replace").strip()
            os.close(lock)
            raise SocketTaken(
                f"another meshd (process {holder or 'unknown'}) serves {self.path} already; stop it, "
                "or give this one another path with --socket and another daemon.state_dir"
            ) from None
        if not _still_there(lock, f"{self.path}.lock"):  # its last holder removed the file between our open and lock
            os.close(lock)
            return self._take_lock()
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        return lock

    def _remove_stale(self) -> None:
        """Remove a socket file that no process serves: a killed daemon left it."""
        try:
            mode = self.path.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):  # connecting to a plain file is refused as well
            raise SocketTaken(f"{self.path} exists and is not a socket")
        probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            probe.settimeout(1.0)
            probe.connect(str(self.path))
        except ConnectionRefusedError:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise SocketTaken(f"{self.path} exists but cannot be used as a socket: {error.strerror}") from None
        else:
            pid, _, _ = peer_credentials(probe)
            raise SocketTaken(f"process {pid} serves {self.path} already; stop it, or use another --socket")
        finally:
            probe.close()


def make_directory(path: Path) -> None:
    """Make a socket's directory if it is missing. Raises SocketTaken."""
    directory = path.parent
    try:
        _make_private(directory)
        if directory.parent == Path("/tmp"):
            _require_private(directory)
    except OSError as error:
        raise SocketTaken(f"cannot make {directory}: {error.strerror}") from None


def _still_there(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def _make_private(directory: Path) -> None:
    """Create it if missing. Its parents get the umask's mode."""
    directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        if not directory.is_dir():
            raise
    else:
        os.chmod(directory, 0o700)  # the umask may have removed some bits


def _require_private(directory: Path) -> None:
    """Below /tmp, any user could have created the directory first. Clients do not trust one that others can enter."""
    found = directory.lstat()
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
        raise SocketTaken(f"{directory} is not yours; remove it, or set XDG_RUNTIME_DIR or --socket")
    if found.st_mode & 0o022:
        raise SocketTaken(f"{directory} is writable by others: chmod 700 {directory}")
    if directory.name == f"meshd-{os.getuid()}" and stat.S_IMODE(found.st_mode) != 0o700:  # where clients look
        raise SocketTaken(f"{directory} is open to others, and clients would not trust it: chmod 700 {directory}")
