"""Reading and writing the files' bytes, each call in the thread that makes it.

Owns: how a file is opened: for the daemon's user alone, never through a link. Must never: know whose a file is.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection
from pathlib import Path

from meshd.state.directory import make_private
from modelmesh.errors import MeshError

PIECE = 256 * 1024
"""Bytes that are read or written at a time."""
PART = ".part"
"""Ends the name of a file that is still uploaded."""
OURS = re.compile(r"file-[0-9a-f]{24}(\.part)?")
"""The names of files that apps uploaded or batches wrote."""


def create(path: Path) -> int:
    """A descriptor for appending to a new file. Raises OSError."""
    make_private(path.parent)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    return os.open(path, flags, 0o600)


def append_to(path: Path) -> int:
    """A descriptor for appending, also to a new file. Raises OSError."""
    make_private(path.parent)
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def read_from(path: Path) -> int:
    """Raises OSError."""
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)


def append(fd: int, data: bytes) -> None:
    """All of it or nothing. Raises OSError."""
    begin = os.fstat(fd).st_size
    written = os.write(fd, data)
    while 0 < written < len(data):
        try:
            more = os.write(fd, memoryview(data)[written:])
        except OSError:
            more = 0
        if not more:
            break
        written += more
    if written != len(data):
        os.ftruncate(fd, begin)
        raise OSError("No space left on device")


def remove(path: Path) -> None:
    """Idempotent."""
    with contextlib.suppress(OSError):
        path.unlink()


def remove_others(directory: Path, known: Collection[str], oldest: float) -> None:
    """Remove uploads that an earlier run did not finish, and files without a record that were written before `oldest`
    (UTC s). Younger ones stay: a record may only be unreadable. A storage may keep its own files in the same folder."""
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(directory)):
            if not OURS.fullmatch(entry.name) or entry.name in known:
                continue
            if entry.name.endswith(PART) or entry.stat(follow_symlinks=False).st_mtime < oldest:
                remove(Path(entry.path))


def cannot(what: str, error: OSError) -> MeshError:
    """The error of a request for which the disk is needed."""
    return MeshError(
        f"The daemon's disk cannot be {what}: {error.strerror or error}; ask again later.",
        status_code=503,
        code="storage_unavailable",
        retryable=True,
    )
