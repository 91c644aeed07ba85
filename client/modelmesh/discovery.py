"""Finds the daemon's socket.

Must never: create a directory or connect. Looks, in this order, at an explicit address, `MESH_SOCKET`, the
profile `~/.config/meshd/client.toml` (keys `socket`, `pool`), the user's runtime directory, `/run/meshd`. In the last
two places, a socket is left out if another ordinary user could have put it there: it would get the app's prompts.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import Any, Final

from modelmesh.embedded import is_embedded
from modelmesh.errors import AuthenticationError, ConfigurationError, DaemonUnavailableError

SYSTEM_SOCKET: Final = "/run/meshd/mesh.sock"
SYSTEMD: Final = "/run/systemd/system"  # exists where systemd runs
UNITS: Final = {
    "systemctl --user": (
        "~/.config/systemd/user",
        "/etc/systemd/user",
        "/usr/local/lib/systemd/user",
        "/usr/lib/systemd/user",
    ),
    "sudo systemctl": ("/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system"),
}
_SCHEMES: Final = ("ipc://", "inproc://", "tcp://")


def address_of(socket: str | os.PathLike[str]) -> str:
    """A path or an `ipc://`, `inproc://` or `tcp://` address, as an address."""
    text = os.fspath(socket)
    if text.startswith(_SCHEMES):
        return text
    return "ipc://" + os.path.abspath(os.path.expanduser(text))


def profile_path() -> str:
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return os.path.join(base, "meshd", "client.toml")


def profile() -> dict[str, Any]:
    """The app-side defaults, empty if there is no file. Raises ConfigurationError if it is not TOML."""
    path = profile_path()
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError:
        return {}
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def candidates() -> list[str]:
    """The sockets of the user's and the system's daemon, the likeliest first."""
    uid = os.getuid()
    found = []
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        found.append(f"{runtime}/meshd/mesh.sock")
    found.append(f"/run/user/{uid}/meshd/mesh.sock")
    if is_private(f"/tmp/meshd-{uid}", uid):
        found.append(f"/tmp/meshd-{uid}/mesh.sock")
    found.append(SYSTEM_SOCKET)
    return list(dict.fromkeys(found))


def find(socket: str | os.PathLike[str] | None = None, keys: Mapping[str, str | None] | None = None) -> str:
    """The address to dial. keys: of CURVE, by the names of the client's arguments. Raises DaemonUnavailableError, with
    `.paths`, if no socket exists, and ConfigurationError if keys are missing."""
    named = os.environ.get("MESH_SOCKET") if socket is None else socket
    if not named and isinstance(configured := profile().get("socket"), str):
        named = configured
    if named:
        address = address_of(named)
        if not address.startswith("tcp://"):
            return address
        from modelmesh.curve import secured  # rarely needed

        return secured(address, keys or {}, profile(), profile_path())
    left_out = {path: why for path in candidates() if (why := untrusted(path))}
    paths = [path for path in candidates() if path not in left_out]
    for path in paths:
        if os.path.exists(path):
            return address_of(path)
    if closed := next((path for path in paths if barred(path)), None):
        raise unavailable(address_of(closed), "not permitted")
    raise _no_daemon(
        "No daemon answers; start one with `meshd`, or name its socket with MESH_SOCKET.",
        *(f"tried {path}: no such socket" for path in paths),
        *(f"left out {path}: {why}" for path, why in left_out.items()),
        *how_to_start(),
        paths=paths,
        left_out=left_out,
    )


def _no_daemon(sentence: str, *details: str, **facts: Any) -> DaemonUnavailableError:
    from modelmesh.wording import told  # rarely needed

    return DaemonUnavailableError(told(sentence, *details), **facts)


def barred(path: str) -> str:
    """Why this process may not use a socket that exists, or may exist; "" if it may."""
    try:
        os.stat(path)
    except PermissionError:
        return f"you may not access the directory {os.path.dirname(path)}"
    except OSError:
        return ""
    if os.access(path, os.R_OK | os.W_OK, effective_ids=True):
        return ""
    return "you may not connect to it"


def nothing_at(path: str) -> str:
    """Why no daemon can be there; "" if there is a socket."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return "no such socket"
    return "" if stat.S_ISSOCK(mode) else "that is not a socket"


def _let_in(path: str) -> str:
    """How to get access to a socket; never by joining root's group."""
    try:
        gid = os.stat(path).st_gid
    except OSError:
        gid = -1
    if gid == 0:
        return "its owner sets daemon.socket_group to a group of yours"
    import grp

    try:
        group = grp.getgrgid(gid).gr_name
    except (KeyError, OverflowError):
        group = "meshd"
    return f"for instance: sudo usermod -aG {group} $USER, and log in again"


def unavailable(address: str, why: str) -> DaemonUnavailableError:
    """The error for an address at which no daemon answers."""
    path = address.removeprefix("ipc://")
    if address.startswith("ipc://") and (bar := barred(path)):
        return _no_daemon(
            "Permission denied for the daemon's socket; ask for membership of its group.",
            f"tried {path}: {bar}",
            _let_in(path),
            paths=[path],
            permitted=False,
        )
    if is_embedded(address):
        return DaemonUnavailableError(f"the mesh inside this process does not answer: {why}", paths=[path])
    if address.startswith("tcp://"):
        return _no_daemon(
            f"No daemon answers at {address}; check the address and the keys.",
            f"tried {address}: {why}",
            "with a wrong curve_server_key, it closes the connection without saying why",
            paths=[path],
        )
    return _no_daemon(
        "No daemon answers; start one with `meshd`.", f"tried {path}: {why}", *how_to_start(), paths=[path]
    )


def not_admitted(address: str) -> AuthenticationError:
    """The error for a client whose key the daemon does not know."""
    return AuthenticationError(
        f"The daemon at {address} does not admit this client's key; its operator adds the public one to `apps` or "
        "`daemon.curve.allowed_clients`.",
        code="key_not_admitted",
    )


def services() -> list[str]:
    """How to call systemctl for each of the daemon's units that is installed here."""
    if not os.path.isdir(SYSTEMD):
        return []
    return [
        call
        for call, directories in UNITS.items()
        if any(os.path.exists(os.path.expanduser(f"{each}/meshd.service")) for each in directories)
    ]


def how_to_start() -> list[str]:
    return [f"as a service: {call} start meshd" for call in services()]


def is_private(directory: str, uid: int) -> bool:
    """Whether only this user can have put a socket there."""
    try:
        info = os.lstat(directory)
    except OSError:
        return False
    return stat.S_ISDIR(info.st_mode) and info.st_uid == uid and stat.S_IMODE(info.st_mode) == 0o700


def untrusted(path: str) -> str:
    """Why a user other than root and this one could have put a socket there; "" if none could, or if there is no
    socket. A socket in a place that only these two can change, such as /run, may belong to the service's user."""
    directory = os.path.dirname(path)
    above = os.path.dirname(directory)
    try:
        here, parent = os.lstat(directory), os.stat(above)
    except OSError:
        return ""
    ours, shared = (0, os.geteuid()), bool(parent.st_mode & _OTHERS_WRITE)
    if parent.st_uid not in (*ours, _UNMAPPED):
        return f"{above} belongs to another user"
    if shared and not parent.st_mode & stat.S_ISVTX:
        return f"{above} is writable by other users"
    if shared and here.st_uid not in ours:
        return f"{directory} belongs to another user"
    if not stat.S_ISDIR(here.st_mode):
        return f"{directory} is not a directory"
    return f"{directory} is writable by other users" if here.st_mode & _OTHERS_WRITE else ""


_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_UNMAPPED: Final = 65534  # root's id in a sandbox with its own user namespace
