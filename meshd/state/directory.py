"""Where state that survives a restart is kept, and creating that directory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

MEMORY = "modelmesh.memory.v1"


def default_state_dir() -> Path:
    """`$STATE_DIRECTORY` (systemd's, the first of several), else `$XDG_STATE_HOME/meshd`, else below the home."""
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(home) / "meshd"


def make_private(directory: Path) -> None:
    """Create it and what is missing above it, for this user alone, whatever the umask is. Raises OSError."""
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
    except FileNotFoundError:
        make_private(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)


def state_dir_of(config: Any, given: Path | None, private: Path | None) -> Path:
    """Where a mesh keeps its state: `given`, else `daemon.state_dir`, else the default. Instead of the default, which
    another mesh may use, a mesh that keeps state only in memory uses `private`, if given."""
    if given is not None:
        return given
    if config.daemon.state_dir:
        return Path(os.path.expanduser(config.daemon.state_dir))
    if private is not None and config.storage.connector == MEMORY:
        return private
    return default_state_dir()
