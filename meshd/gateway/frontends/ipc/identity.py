"""Identifies callers by what the kernel says.

Owns: `Caller`, and the reading of a peer's credentials and of /proc.
Must never: trust what a message says about its sender.

libzmq asks the kernel for the credentials of the process that connected (SO_PEERCRED) and gives them with
every message as `Peer-Address`: "localhost:UID:GID:PID". Reading /proc takes some tens of microseconds, once per
connection; it is memory, not a disk, so the router may do it. A process that executes another program later keeps its
identity on that connection.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import lru_cache

from meshd.host.program_names import is_interpreter, printable, script_of
from meshd.host.users import user_name


@dataclass(frozen=True, slots=True)
class Caller:
    """A calling process. uid -1: unknown. started: clock ticks since boot, which with the pid names a process uniquely.
    exe, unit: "" if the kernel does not let us see them. groups: the supplementary ones.

    system_unit: the unit that the system's service manager put it in. It equals `unit`, except below a user's service
    manager: there it is `user@UID.service`, and `unit` has a name of the user's choice.

    script: what an interpreter runs, by the process's own claim; a label that no rule uses.
    """

    uid: int = -1
    gid: int = -1
    pid: int = 0
    started: int = 0
    name: str = ""
    exe: str = ""
    unit: str = ""
    groups: frozenset[int] = frozenset()
    system_unit: str = ""
    script: str = field(default="", compare=False)

    @property
    def user(self) -> str:
        return user_name(self.uid)

    @property
    def app(self) -> str:
        """The name for statistics: the service, else the program's name, else the user.

        A script's own name says more than its interpreter's, so the process name comes before the executable, and the
        script before an interpreter. The process chooses it, so it never decides permissions.
        """
        service = self.unit if self.unit.endswith(".service") else ""
        name = printable(self.name)
        if is_interpreter(name):
            name = self.script or name
        return service or name or os.path.basename(self.exe) or self.user


OURSELVES_ADDRESS = ""
"""The peer address of inproc://: empty, since no other process can be there."""


def parse_peer_address(address: str) -> tuple[int, int, int]:
    """(uid, gid, pid) of "localhost:UID:GID:PID". Raises ValueError."""
    uid, gid, pid = address.rsplit(":", 3)[1:]
    return int(uid), int(gid), int(pid)


def identify(address: str) -> Caller:
    """The caller behind a peer address; the process itself for inproc://, an unknown one if it cannot be read."""
    if address == OURSELVES_ADDRESS:
        return _look_up(os.getuid(), os.getgid(), os.getpid(), _start_time(os.getpid()))
    try:
        uid, gid, pid = parse_peer_address(address)
    except ValueError:
        return Caller()
    started = _start_time(pid)
    found = _look_up(uid, gid, pid, started)
    if started and (_start_time(pid) != started or uid not in _users(pid)):
        return Caller(uid, gid, pid)  # it has ended, and its pid is another's
    return found


@lru_cache(maxsize=1024)
def _look_up(uid: int, gid: int, pid: int, started: int) -> Caller:
    system_unit, unit = _units(pid)
    name, exe = _name(pid), _executable(pid)
    script = script_of(pid, exe, name)
    return Caller(uid, gid, pid, started, name, exe, unit, _groups(pid), system_unit, script)


def _read(pid: int, name: str) -> str:
    try:
        with open(f"/proc/{pid}/{name}", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:  # it has ended, or may not be read
        return ""


def _start_time(pid: int) -> int:
    # The name, field 2, may hold spaces and brackets: count from its closing one. starttime is field 22.
    fields = _read(pid, "stat").rpartition(")")[2].split()
    return int(fields[19]) if len(fields) > 19 else 0


def _users(pid: int) -> set[int]:
    """Real, effective, saved and file-system uids: a program may have dropped some since it connected."""
    for line in _read(pid, "status").splitlines():
        if line.startswith("Uid:"):
            return {int(each) for each in line.split()[1:]}
    return set()


def _name(pid: int) -> str:
    return _read(pid, "comm").strip()


def _executable(pid: int) -> str:
    try:
        if _user_namespace(pid) != _user_namespace("self"):
            return ""  # the creator of that namespace may have mounted anything over any path
        return os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)")
    except OSError:
        return ""


def _user_namespace(pid: int | str) -> tuple[int, int]:
    found = os.stat(f"/proc/{pid}/ns/user")
    return found.st_dev, found.st_ino


def _groups(pid: int) -> frozenset[int]:
    for line in _read(pid, "status").splitlines():
        name, _, numbers = line.partition(":")
        if name == "Groups":
            return frozenset(map(int, numbers.split()))
    return frozenset()


def _units(pid: int) -> tuple[str, str]:
    """(the unit of the system's service manager, the unit) of the process's control group.

    The outermost unit counts: below it a service may have the right to create groups with any name. Below
    `user@UID.service` that user's service manager names them.
    """
    for line in _read(pid, "cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers not in ("", "name=systemd"):  # only systemd's own hierarchy: v2, or its named one of v1
            continue
        units = [part for part in path.split("/") if part.endswith((".service", ".scope"))]
        if units:
            by_user = len(units) > 1 and units[0].startswith("user@")
            return units[0], units[1] if by_user else units[0]
    return "", ""
