"""Who calls: a process that the kernel identifies, or the holder of a token or of a CURVE key.

Owns: the records. Must never: read anything about a process (`meshd/gateway/frontends/peer_identity.py` does).
"""

from __future__ import annotations

import os
from collections.abc import Hashable
from typing import Final

from meshd.host.plain_text import printable
from meshd.host.process.program_names import is_interpreter
from meshd.host.users import user_name


class Peer:
    """A process, as the kernel describes it. uid: -1 if unknown. started: clock ticks since boot, which together with
    the pid identify a process. exe, unit: "" if the kernel does not let us see them. groups: the supplementary groups.

    system_unit: the unit that the system's service manager put it in. It equals `unit`, except for a process of a
    user's service manager: there it is `user@UID.service`, and the user chooses the name in `unit`.

    Two peers are equal if everything but `script` and `socket` is.

    script: what an interpreter runs, as the process itself claims; a label that no rule uses. network: where it is, if
    its user is unknown: an address or a network of IPv6; "" for a process of this machine. socket: the inode of its end
    of a TCP connection, by which the process can be found; 0: unknown.
    """

    __slots__ = (
        "_hash",
        "_identity",
        "exe",
        "gid",
        "groups",
        "name",
        "network",
        "pid",
        "script",
        "socket",
        "started",
        "system_unit",
        "uid",
        "unit",
    )

    def __init__(
        self,
        uid: int = -1,
        gid: int = -1,
        pid: int = 0,
        started: int = 0,
        name: str = "",
        exe: str = "",
        unit: str = "",
        groups: frozenset[int] = frozenset(),
        system_unit: str = "",
        script: str = "",
        network: str = "",
        socket: int = 0,
    ) -> None:
        self.uid: Final = uid
        self.gid: Final = gid
        self.pid: Final = pid
        self.started: Final = started
        self.name: Final = name
        self.exe: Final = exe
        self.unit: Final = unit
        self.groups: Final = groups
        self.system_unit: Final = system_unit
        self.script: Final = script
        self.network: Final = network
        self.socket: Final = socket
        self._identity: Final = (uid, gid, pid, started, name, exe, unit, groups, system_unit, network)
        self._hash: Final = hash(self._identity)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Peer) and self._identity == other._identity)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"Peer{(*self._identity, self.script, self.socket)}"

    @property
    def shares_as(self) -> Hashable:
        """The key under which its connections, requests and bytes are counted, so that every caller gets its share."""
        return self.network or self.uid

    @property
    def user(self) -> str:
        return user_name(self.uid)

    @property
    def owner(self) -> Hashable:
        """The owner of its requests: the process, even if it has changed its name between two connections."""
        return self.uid, self.pid, self.started

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


class Token:
    """The holder of a bearer token. digest: the token's SHA-256 in hexadecimal digits; the token itself is not kept.
    name: of the app that it was made for. Also the holder of a CURVE key: the digest is `of_key` of the public one."""

    __slots__ = ("digest", "name")

    uid: Final = -1
    gid: Final = -1
    pid: Final = 0
    started: Final = 0
    groups: Final[frozenset[int]] = frozenset()
    exe: Final = ""
    unit: Final = ""
    system_unit: Final = ""
    script: Final = ""
    user: Final = ""

    def __init__(self, digest: str, name: str = "") -> None:
        self.digest: Final = digest
        self.name: Final = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Token) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Token({self.digest!r}, {self.name!r})"

    @property
    def owner(self) -> Hashable:
        """The owner of its requests."""
        return self.digest

    @property
    def shares_as(self) -> Hashable:
        return self.digest

    @property
    def app(self) -> str:
        """A name for statistics that does not reveal the token."""
        if self.name or not self.digest.startswith(_OF_KEY):
            return self.name or f"token {self.digest[:8]}"
        return f"key {self.digest.removeprefix(_OF_KEY)[:8]}"


_OF_KEY = "curve "


def of_key(public: str) -> str:
    """The entry for a CURVE key among the digests of tokens, in a form that no digest has. public: in Z85."""
    return _OF_KEY + public


Caller = Peer | Token


def is_owner(caller: Caller) -> bool:
    """Whether the caller is root or the daemon's own user."""
    return caller.uid in (0, os.getuid())
