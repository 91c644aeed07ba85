"""Identifies callers by what the kernel says.

Owns: reading a peer's credentials and /proc.
Must never: trust what a message says about its sender.

libzmq asks the kernel for the credentials of the process that connected (SO_PEERCRED) and gives them with
every message as `Peer-Address`: "localhost:UID:GID:PID". Reading /proc takes some tens of microseconds, once per
connection; it is memory, not a disk, so the router may do it. A process that executes another program later keeps its
identity on that connection.
"""

from __future__ import annotations

import os
from functools import lru_cache

from meshd.core.caller import Peer
from meshd.host import processes
from meshd.host.program_names import script_of

OURSELVES_ADDRESS = ""
"""The peer address of inproc://: empty, since no other process can be there."""


def parse_peer_address(address: str) -> tuple[int, int, int]:
    """(uid, gid, pid) of "localhost:UID:GID:PID". Raises ValueError."""
    uid, gid, pid = address.rsplit(":", 3)[1:]
    return int(uid), int(gid), int(pid)


def identify(address: str) -> Peer:
    """The caller behind a peer address; the process itself for inproc://, an unknown one if it cannot be read."""
    if address == OURSELVES_ADDRESS:
        return _look_up(os.getuid(), os.getgid(), os.getpid(), processes.start_time(os.getpid()))
    try:
        uid, gid, pid = parse_peer_address(address)
    except ValueError:
        return Peer()
    started = processes.start_time(pid)
    found = _look_up(uid, gid, pid, started)
    if started and (processes.start_time(pid) != started or uid not in processes.users(pid)):
        return Peer(uid, gid, pid)  # it has ended, and another process has its pid
    return found


@lru_cache(maxsize=1024)
def _look_up(uid: int, gid: int, pid: int, started: int) -> Peer:
    system_unit, unit = processes.units(pid)
    name, exe = processes.name(pid), processes.executable(pid)
    script = script_of(pid, exe, name)
    return Peer(uid, gid, pid, started, name, exe, unit, processes.groups(pid), system_unit, script)
