"""State that outlives a restart: the directory it is in, who may use it, and what is kept there."""

from __future__ import annotations

import os
from pathlib import Path


def default_state_dir() -> Path:
    """`$STATE_DIRECTORY` (systemd's, the first of several), else `$XDG_STATE_HOME/meshd`, else below the home."""
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(home) / "meshd"
