"""Writes a configuration file: all of it or nothing, and readable only by its owner, as it may contain keys."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_private(target: Path, text: str) -> None:
    """Raises OSError, also if its directory does not exist."""
    target = target.resolve()  # a link stays one
    if not target.parent.is_dir():
        raise FileNotFoundError(f"there is no directory {target.parent}")
    descriptor, partial = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # made with 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
