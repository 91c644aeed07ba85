"""Finds the configuration file.

Owns: the order of the places.
Must never: read the file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

ENDINGS = (".yaml", ".yml", ".toml", ".json")
SYSTEM_DIRECTORY = "/etc/meshd"


def find_config(
    given: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
    system_directory: str | os.PathLike[str] = SYSTEM_DIRECTORY,
) -> Path | None:
    """The file of --config, else of $MESHD_CONFIG, else the user's, else the system's. None: zero configuration.

    The first two are binding: if their file is missing, that is an error, not a reason to look elsewhere.
    """
    env = os.environ if environ is None else environ
    named = given or env.get("MESHD_CONFIG")
    if named:
        return Path(os.path.expanduser(named))
    for directory in (user_directory(env), Path(system_directory)):
        for ending in ENDINGS:
            candidate = directory / f"mesh{ending}"
            if candidate.is_file():
                return candidate
    return None


def user_directory(environ: Mapping[str, str]) -> Path:
    """The folder of the user's configuration."""
    base = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".config")
    return Path(base) / "meshd"


def user_file(environ: Mapping[str, str]) -> Path:
    """The file in which the user's configuration is created."""
    return user_directory(environ) / "mesh.yaml"
