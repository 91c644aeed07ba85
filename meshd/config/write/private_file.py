"""Writes a configuration file: all of it or nothing, and readable only by its owner, as it may contain keys."""

from __future__ import annotations

from pathlib import Path

from meshd.host.replaced_file import replace_file


def write_private(target: Path, text: str) -> None:
    """Raises OSError, also if its directory does not exist."""
    directory = target.resolve().parent
    if not directory.is_dir():
        raise FileNotFoundError(f"there is no directory {directory}")
    replace_file(target, text.encode())
