"""Where the daemon's socket is unless told otherwise."""

from __future__ import annotations

import os
from pathlib import Path


def is_system_service() -> bool:
    """Whether the system's service manager started this process, not a user's or a person."""
    runtime = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    return bool(runtime) and not Path(runtime).is_relative_to(os.environ.get("XDG_RUNTIME_DIR") or "/run/user")


def default_socket() -> Path:
    """`$RUNTIME_DIRECTORY/mesh.sock` (systemd), `$XDG_RUNTIME_DIR/meshd/mesh.sock`, else a directory of the
    user's own below /tmp: where the client looks too. A runtime directory of another user, which `su` leaves in the
    environment, does not count."""
    runtime = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    if runtime:
        return Path(runtime) / "mesh.sock"
    xdg = os.environ.get("XDG_RUNTIME_DIR")
    if xdg and _is_own(xdg):
        return Path(xdg) / "meshd" / "mesh.sock"
    return Path(f"/tmp/meshd-{os.getuid()}") / "mesh.sock"


def path_of_socket(address: str) -> Path:
    """Of a socket as people name it: a path, or `ipc://PATH`."""
    return Path(os.path.expanduser(address.removeprefix("ipc://"))).absolute()


def _is_own(directory: str) -> bool:
    """Whether it belongs to this user, or is still to be made."""
    try:
        return os.stat(directory).st_uid == os.geteuid()
    except OSError:
        return True
