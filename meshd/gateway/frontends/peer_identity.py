"""Identifies callers by what the kernel reports.

Owns: reading a peer's credentials and /proc.
Must never: trust what a message says about its sender.

The kernel names the process that connected (SO_PEERCRED, SO_PEERGROUPS). The rest is read from /proc by its pid when
the connection is accepted, and counts only if that process still runs: otherwise its pid may belong to another process
by now. The kernel's descriptor of the process (SO_PEERPIDFD, Linux 6.5) makes this certain; without it, the start time
is compared. Reading takes some tens of microseconds; it is memory, not a disk, so the router may do it. Identity
belongs to the connection: a process that executes another program keeps it on the connections that it has, and only on
those.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from functools import lru_cache
from ipaddress import ip_address, ip_network

from meshd.core.caller import Peer
from meshd.host.process import processes
from meshd.host.process.program_names import script_of
from meshd.host.trust.socket_owners import peer_of

_SO_PEERGROUPS = 59
_SO_PEERPIDFD = 77
_FEW_GROUPS = 64  # asked for at first
_MOST_GROUPS = 65536  # NGROUPS_MAX


def ourselves() -> Peer:
    return _of_own(os.getpid())


@lru_cache(maxsize=1)  # every request of an embedding program needs it
def _of_own(pid: int) -> Peer:
    return _look_up(os.getuid(), os.getgid(), pid, processes.start_time(pid), processes.groups(pid))


def user_of(connected: socket.socket) -> int:
    """The uid of the process at the other end of a UNIX socket."""
    return processes.peer_credentials(connected)[1]


def of_tcp(connected: socket.socket) -> Peer:
    """The owner of the other end of a TCP connection, or its network."""
    try:
        owner = peer_of(connected.getsockname(), connected.getpeername())
    except OSError:  # it is closed already
        owner = None
    return Peer(network=network_of(connected)) if owner is None else Peer(owner.uid, socket=owner.inode)


def network_of(connected: socket.socket) -> str:
    """Where the other end of a TCP connection is: its address, or its network of 64 bits in IPv6, in which one machine
    may have every address; an address of IPv4 also where the listener speaks both. "" if it is closed already."""
    try:
        host = ip_address(connected.getpeername()[0].partition("%")[0])
    except OSError:
        return ""
    if host.version == 4 or host.ipv4_mapped is not None:
        return str(host if host.version == 4 else host.ipv4_mapped)
    return str(ip_network((host, 64), strict=False))


def of_socket(connected: socket.socket) -> Peer:
    """The process at the other end of a UNIX socket; if it has ended, only its user and groups."""
    pid, uid, gid = processes.peer_credentials(connected)
    groups = _groups(connected)
    started = processes.start_time(pid)
    found = _look_up(uid, gid, pid, started, groups)
    unchanged = started and processes.start_time(pid) == started and uid in processes.users(pid)
    return found if unchanged and not _has_ended(connected) else Peer(uid, gid, pid, groups=groups)


def _groups(connected: socket.socket) -> frozenset[int]:
    """The supplementary ones."""
    try:
        found = connected.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * _FEW_GROUPS)
    except OSError as error:
        if error.errno != errno.ERANGE:
            return frozenset()
        found = connected.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * _MOST_GROUPS)
    return frozenset(struct.unpack(f"{len(found) // 4}I", found))


def _has_ended(connected: socket.socket) -> bool:
    """Whether the process that connected has. False where the kernel cannot say."""
    try:
        found = connected.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD, 4)
    except OSError as error:
        return error.errno != errno.ENOPROTOOPT
    (descriptor,) = struct.unpack("i", found)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))
    finally:
        os.close(descriptor)


def _look_up(uid: int, gid: int, pid: int, started: int, groups: frozenset[int]) -> Peer:
    system_unit, unit = processes.units(pid)
    name, exe = processes.name(pid), processes.executable(pid)
    script = script_of(pid, exe, name)
    return Peer(uid, gid, pid, started, name, exe, unit, groups, system_unit, script)
