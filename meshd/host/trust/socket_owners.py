"""Which users own TCP sockets of this machine, as the kernel says: who listens at a port, who is at the other end.

Owns: the questions to sock_diag (netlink), and the same from /proc/net/tcp where netlink does not answer.
Must never: take a socket without an inode for somebody's. The kernel gives closed and half-open sockets the uid 0.

Asking for listeners takes time in proportion to how many there are on the machine, so the router asks in another
thread. A connection's other end is one lookup.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import NamedTuple

PROC_NET = Path("/proc/self/net")

Address = IPv4Address | IPv6Address
Endpoint = tuple[str, int]
"""(address, port), as `getsockname` gives it; what follows does not count."""

# linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_ERROR, _DONE = 2, 3
_REQUEST, _DUMP = 0x1, 0x300
_V6_ONLY = 11  # INET_DIAG_SKV6ONLY
_ANY_COOKIE = b"\xff" * 8
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_QUERY = struct.Struct("=BBBxI")  # family, protocol, extensions, states
_ID = struct.Struct("!HH16s16s4x8s")  # ports, addresses, interface (none), cookie
_SOCKET = struct.Struct("=BBxx48xIIIII")  # family, state, its id, expires, queues, uid, inode
_ATTRIBUTE = struct.Struct("=HH")
_LISTENING = 10  # TCP_LISTEN
_CONNECTED = (1, 4, 5, 8)  # TCP_ESTABLISHED, _FIN_WAIT1, _FIN_WAIT2, _CLOSE_WAIT
_PATIENCE = 1.0  # s for an answer of the kernel
_MOST = 65_536  # bytes of one answer


class Owner(NamedTuple):
    """uid: of the user who created the socket, or got it since. inode: names the socket in /proc/PID/fd."""

    uid: int
    inode: int


class _Socket(NamedTuple):
    address: Address
    port: int
    remote: Address
    remote_port: int
    state: int
    owner: Owner
    only_v6: bool | None  # of an IPv6 listener: it takes no IPv4; None: unknown


def owners(port: int, address: str = "127.0.0.1") -> frozenset[Owner] | None:
    """Who may be given a connection to this address: the owners of every socket that listens there. None: unknown."""
    wanted = ip_address(address.partition("%")[0])
    try:
        listening = _ask_kernel(port)
    except OSError:
        try:
            listening = [each for each in _read_proc() if each.state == _LISTENING and each.port == port]
        except OSError:
            return None
    takes = [each for each in listening if _takes(each, wanted)]
    if wanted.version == 4 and any(_plain(each.address).version == 4 for each in takes):
        # An IPv6 wildcard that takes IPv4 as well could not share the port with another user's IPv4 socket.
        takes = [each for each in takes if each.only_v6 is not None or _plain(each.address).version == 4]
    found = frozenset(each.owner for each in takes)
    return found if all(owner.inode for owner in found) else None


def peer_of(local: Endpoint, remote: Endpoint) -> Owner | None:
    """Who owns the other end of this process's connection. None: it is on another machine, is closed, was not accepted
    yet, or cannot be known."""
    here, there = (_plain(ip_address(end[0].partition("%")[0])) for end in (local, remote))
    if here.version != there.version:
        return None
    try:
        found = _look_up(here, local[1], there, remote[1])
    except OSError:
        try:
            sides = (there, remote[1], here, local[1])
            found = [each for each in _read_proc() if sides == (_plain(each[0]), each[1], _plain(each[2]), each[3])]
        except OSError:
            return None
    live = [each.owner for each in found if each.state in _CONNECTED and each.owner.inode]
    return live[0] if len(live) == 1 else None


def _takes(listener: _Socket, address: Address) -> bool:
    own, wanted = _plain(listener.address), _plain(address)
    if own == wanted:
        return True
    same = own.version == wanted.version
    return own.is_unspecified and (same or (wanted.version == 4 and not listener.only_v6))


def _plain(address: Address) -> Address:
    """An IPv4 address that is written as an IPv6 one, as itself."""
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


# -- sock_diag ----------------------------------------------------------------------------------------


def _ask_kernel(port: int) -> list[_Socket]:
    """The sockets that listen at a port. Raises OSError."""
    sides = _ID.pack(port, 0, bytes(16), bytes(16), _ANY_COOKIE)
    found: list[_Socket] = []
    for family in (socket.AF_INET, socket.AF_INET6):
        query = _QUERY.pack(family, socket.IPPROTO_TCP, 0, 1 << _LISTENING) + sides
        found += [each for each in _answers(query, _DUMP) if each.port == port]
    return found


def _look_up(here: Address, here_port: int, there: Address, there_port: int) -> list[_Socket]:
    """The socket whose own side is `there`. Raises OSError."""
    family = socket.AF_INET if here.version == 4 else socket.AF_INET6
    sides = _ID.pack(there_port, here_port, there.packed.ljust(16, b"\0"), here.packed.ljust(16, b"\0"), _ANY_COOKIE)
    query = _QUERY.pack(family, socket.IPPROTO_TCP, 0, 0xFFFF_FFFF) + sides
    try:
        found = list(_answers(query, 0))
    except FileNotFoundError:
        return []
    # Where there is no such connection, the kernel answers with the socket that listens there.
    return [each for each in found if (each.port, each.remote_port) == (there_port, here_port)]


def _answers(query: bytes, flags: int) -> Iterator[_Socket]:
    message = _HEADER.pack(_HEADER.size + len(query), _SOCK_DIAG_BY_FAMILY, _REQUEST | flags, 1, 0) + query
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as netlink:
        netlink.settimeout(_PATIENCE)
        netlink.sendto(message, (0, 0))
        while True:
            data, sender = netlink.recvfrom(_MOST)
            if sender[0] != 0:
                continue  # another process: only the kernel has the port 0
            while len(data) >= _HEADER.size:
                length, kind, *_ = _HEADER.unpack_from(data)
                body, data = data[_HEADER.size : length], data[max((length + 3) & ~3, _HEADER.size) :]
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    (number,) = struct.unpack_from("=i", body)
                    raise OSError(-number, "sock_diag")
                if kind == _SOCK_DIAG_BY_FAMILY and len(body) >= _SOCKET.size:
                    yield _socket(body)
                    if not flags:
                        return


def _socket(body: bytes) -> _Socket:
    family, state, _, _, _, uid, inode = _SOCKET.unpack_from(body)
    port, remote_port, address, remote, _ = _ID.unpack_from(body, 4)
    kind, size = (IPv4Address, 4) if family == socket.AF_INET else (IPv6Address, 16)
    only_v6, rest = False, body[_SOCKET.size :]
    while len(rest) > _ATTRIBUTE.size:
        length, name = _ATTRIBUTE.unpack_from(rest)
        if name == _V6_ONLY:
            only_v6 = bool(rest[_ATTRIBUTE.size])
        rest = rest[max((length + 3) & ~3, _ATTRIBUTE.size) :]
    return _Socket(kind(address[:size]), port, kind(remote[:size]), remote_port, state, Owner(uid, inode), only_v6)


# -- /proc --------------------------------------------------------------------------------------------


def _read_proc() -> list[_Socket]:
    """Every TCP socket. Without IPv6, the kernel has no tcp6. Raises OSError."""
    found = _read_table(PROC_NET / "tcp")
    with contextlib.suppress(FileNotFoundError):
        found += _read_table(PROC_NET / "tcp6")
    return found


def _read_table(path: Path) -> list[_Socket]:
    found = []
    for line in path.read_text("ascii").splitlines()[1:]:
        fields = line.split()
        (address, port), (remote, remote_port) = _endpoint(fields[1]), _endpoint(fields[2])
        owner = Owner(int(fields[7]), int(fields[9]))
        found.append(_Socket(address, port, remote, remote_port, int(fields[3], 16), owner, only_v6=None))
    return found


def _endpoint(text: str) -> tuple[Address, int]:
    """`0100007F:1F90`: the address in words of this machine's byte order."""
    digits, _, port = text.partition(":")
    words = [int(digits[at : at + 8], 16) for at in range(0, len(digits), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    return (IPv4Address(packed) if len(words) == 1 else IPv6Address(packed)), int(port, 16)
