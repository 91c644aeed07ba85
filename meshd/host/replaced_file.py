"""Writes a file: all of it or nothing.

Must never: let another user read what the caller has not said they may, or replace a device, a pipe or a directory.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def replace_file(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace it, or the file that a link points to; its directory exists. Raises OSError."""
    there = _mode_of(path)
    if _is_special(there):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    if stat.S_ISDIR(there):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    target = path.resolve()
    # Not by `tempfile`: with what it imports, that is 0.4 MB of a daemon that needs nothing else of it.
    partial = target.parent / f".{target.name}.{os.urandom(8).hex()}"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_output(path: Path, data: bytes) -> None:
    """The same for a path that a user has named as the output: a device or a pipe gets the data. Raises OSError."""
    if _is_special(_mode_of(path)):
        with path.open("wb", buffering=0) as file:
            view = memoryview(data)
            while view:
                view = view[file.write(view) or 0 :]
    else:
        replace_file(path, data)


def _mode_of(path: Path) -> int:
    """0 if there is no such file. Raises OSError, also for links that lead in a circle."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return 0
    except ValueError:  # a zero byte, or half of a surrogate pair
        raise OSError(errno.EINVAL, "no file can have this name", str(path)) from None


def _is_special(mode: int) -> bool:
    """Whether it is something, and neither a file nor a directory."""
    return bool(mode) and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
