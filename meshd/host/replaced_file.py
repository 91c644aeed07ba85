"""Writes a file: all of it or nothing.

Must never: let another user read what the caller has not said they may.
"""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace it, or the file that a link points to; its directory exists. Raises OSError."""
    target = path.resolve()
    # Not by `tempfile`: with what it imports, that is 0.4 MB of a daemon that needs nothing else of it.
    partial = target.with_name(f".{target.name}.{os.urandom(8).hex()}")
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
