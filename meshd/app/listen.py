"""Where the daemon listens: its own socket, or those that a service manager hands in (`sd_listen_fds(3)`).

Owns: the path of the socket; reading `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES`; checking these descriptors.
Must never: bind, accept or close a socket.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Final, NamedTuple

from meshd.config.schema import DaemonConfig
from meshd.host.socket_path import default_socket, is_system_service, path_of_socket
from meshd.host.users import gid_of
from meshd.messages import Listen, ListenHttp
from modelmesh.errors import MeshError

_FIRST_FD: Final = 3
_VARIABLES: Final = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")


class ListenSocket(NamedTuple):
    """One listening AF_UNIX stream socket: its descriptor, its `FileDescriptorName=`, and its path
    (`@name` for an abstract one)."""

    fd: int
    name: str
    path: str


class ListenError(Exception):
    """The daemon cannot listen on a descriptor that was handed in."""


def take_sockets() -> list[ListenSocket]:
    """The sockets handed in, if any. The variables are removed, so that no child uses them, and the descriptors are
    closed on exec.

    Raises ListenError if one of them is not a listening AF_UNIX stream socket.
    """
    values = {name: os.environ.pop(name, "") for name in _VARIABLES}
    try:
        count, pid = int(values["LISTEN_FDS"] or 0), int(values["LISTEN_PID"] or 0)
    except ValueError:
        return []
    if pid != os.getpid() or count <= 0:
        return []
    names = values["LISTEN_FDNAMES"].split(":") if values["LISTEN_FDNAMES"] else []
    sockets = []
    for position in range(count):
        fd = _FIRST_FD + position
        name = names[position] if position < len(names) else "unknown"
        sockets.append(ListenSocket(fd, name, _claim(fd, name)))
    return sockets


def _claim(fd: int, name: str) -> str:
    """Check one descriptor, set CLOEXEC, and return the path that it listens on."""
    label = f"descriptor {fd} ({name}) from the service manager"
    try:
        os.set_inheritable(fd, False)
        probe = socket.socket(fileno=fd)
    except OSError as error:
        raise ListenError(f"{label} is not a socket: {error.strerror}") from None
    try:
        if probe.family != socket.AF_UNIX or probe.type != socket.SOCK_STREAM:
            raise ListenError(f"{label} is not a UNIX stream socket (in the .socket unit: ListenStream=/a/path)")
        if not probe.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise ListenError(f"{label} does not listen (in the .socket unit: Accept=no)")
        return _path(probe.getsockname())
    finally:
        probe.detach()


def _path(address: str | bytes) -> str:
    text = os.fsdecode(address)
    return "@" + text[1:] if text.startswith("\0") else text


def socket_path(given: str | None, handed_in: list[ListenSocket], daemon: DaemonConfig) -> Path:
    """given: the argument of --socket. Raises ListenError."""
    if given:
        scheme, separator, _ = given.partition("://")
        if separator and scheme != "ipc":
            raise ListenError(f"{given}: apps connect through a socket file; give its path")
        return path_of_socket(given)
    if handed_in:
        return Path(handed_in[0].path)
    return path_of_socket(daemon.socket) if daemon.socket else default_socket()


def listeners(path: Path, handed_in: list[ListenSocket], daemon: DaemonConfig) -> list[Listen]:
    """What the router has to listen on. Raises MeshError for an unknown group."""
    if handed_in:  # systemd's socket unit decides who may connect
        return [Listen(f"ipc://{socket.path}", socket.fd) for socket in handed_in]
    return [Listen(f"ipc://{path}", None, daemon.socket_mode, _gid(daemon.socket_group))]


def http_listener(path: Path, mesh: Listen) -> ListenHttp:
    """The HTTP settings that apply if the configuration has none: a daemon at its user's default socket serves HTTP;
    the system's daemon, and any additional one, does not. mesh: the socket at that path, whose mode and group
    `http.sock` gets."""
    if path != default_socket() or is_system_service():
        return ListenHttp()
    return ListenHttp(True, str(path.with_name("http.sock")), mesh.mode, mesh.gid)


def _gid(group: str | None) -> int | None:
    if not group:
        return None
    found = gid_of(group)
    if found is None:
        raise MeshError(f"daemon.socket_group: there is no group {group} on this machine")
    return found
