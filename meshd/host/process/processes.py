"""What the kernel says about a process, in /proc.

Reading takes some tens of microseconds; it is memory, not a disk, so the router may do it. What cannot be read is
empty.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import Any

PROC = "/proc"
_UCRED = struct.Struct("3i")


def peer_credentials(connected: Any) -> tuple[int, int, int]:
    """(pid, uid, gid) of the process that connected, or that listens, at the other end of a UNIX socket."""
    pid, uid, gid = _UCRED.unpack(connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return pid, uid, gid


_CAP_SYS_PTRACE = 19


def _read(pid: int | str, name: str) -> str:
    try:
        with open(f"{PROC}/{pid}/{name}", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:  # it has ended, or may not be read
        return ""


def start_time(pid: int) -> int:
    """Clock ticks since boot, which with the pid names a process uniquely; 0: unknown."""
    # The name, field 2, may hold spaces and brackets: count from its closing one. starttime is field 22.
    fields = _read(pid, "stat").rpartition(")")[2].split()
    return int(fields[19]) if len(fields) > 19 else 0


def users(pid: int) -> set[int]:
    """Real, effective, saved and file-system uids: a program may have dropped some since it connected."""
    for line in _read(pid, "status").splitlines():
        if line.startswith("Uid:"):
            return {int(each) for each in line.split()[1:]}
    return set()


def name(pid: int) -> str:
    """The name that the process gives itself."""
    return _read(pid, "comm").strip()


def executable(pid: int) -> str:
    """The path of its program."""
    try:
        if user_namespace(pid) != user_namespace("self"):
            return ""  # the creator of that namespace may have mounted anything over any path
        return os.readlink(f"{PROC}/{pid}/exe").removesuffix(" (deleted)")
    except OSError:
        return ""


def sees_other_programs() -> bool:
    """Whether `executable` knows the programs of other users, which takes CAP_SYS_PTRACE."""
    for line in _read("self", "status").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_PTRACE & 1)
    return False


def user_namespace(pid: int | str) -> tuple[int, int]:
    found = os.stat(f"{PROC}/{pid}/ns/user")
    return found.st_dev, found.st_ino


def groups(pid: int) -> frozenset[int]:
    """The supplementary groups."""
    for line in _read(pid, "status").splitlines():
        name, _, numbers = line.partition(":")
        if name == "Groups":
            return frozenset(map(int, numbers.split()))
    return frozenset()


def units(pid: int) -> tuple[str, str]:
    """(the unit of the system's service manager, the unit) of the process's control group.

    The outermost unit counts: below it a service may have the right to create groups with any name. Below
    `user@UID.service` that user's service manager names them.
    """
    for line in _read(pid, "cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers not in ("", "name=systemd"):  # only systemd's own hierarchy: v2, or the one of v1 with its name
            continue
        units = [part for part in path.split("/") if part.endswith((".service", ".scope"))]
        if units:
            by_user = len(units) > 1 and units[0].startswith("user@")
            return units[0], units[1] if by_user else units[0]
    return "", ""
