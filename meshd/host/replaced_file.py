"""Writes a file: all of it or nothing.

Must never: let another user read what the caller has not said they may.
"""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace it, or the file that a link points to; its directory exists. Raises OSError."""
    import tempfile  # with shutil and its archives, half a megabyte

    target = path.resolve()
    descriptor, partial = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # made with 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
