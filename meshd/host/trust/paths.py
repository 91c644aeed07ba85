"""Whether only root and one user can change what is at a path: what sshd calls StrictModes.

Owns: the rule, and the command that repairs what breaks it.
Must never: change anything, or read a file's content.

Every step of the path counts, including links: anyone who may write to a directory may put another file there. Other
users may not own anything on the path or write to it. Directories like /tmp, in which the sticky bit keeps everyone
from renaming what is not theirs, may lie above the file. A group may write if it has no other member, as distributions
give each user a group and a umask of 002.
"""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import stat
from collections.abc import Iterator

import msgspec

from meshd.host.users import uid_of, user_name

_INITIAL_PID_NAMESPACE = 0xEFFFFFFC
_INITIAL_USER_NAMESPACE = 0xEFFFFFFD
_UNMAPPED = 65534
"""The owner that a user namespace shows for everything whose owner it does not know."""
_MOST_LINKS = 40  # as in the kernel
_ACL = "system.posix_acl_access"


class Untrusted(msgspec.Struct, frozen=True):
    """What others can change. repair: the command that ends that."""

    path: str
    why: str
    repair: str

    def __str__(self) -> str:
        return f"{self.path} {self.why}: run `{self.repair}`"


def untrusted(path: str | os.PathLike[str], uid: int | None = None) -> Untrusted | None:
    """The first step of the path that others can change; None if there is none. The check ends where nothing is, or
    where this process may not look. uid: the trusted user besides root; None: this process's."""
    own = os.geteuid() if uid is None else uid
    for place, found, last in _steps(os.fspath(path)):
        fault = _owner_fault(place, found, last, own) or _mode_fault(place, found, last, own)
        if fault is not None:
            return fault
    return None


def _steps(path: str) -> Iterator[tuple[str, os.stat_result, bool]]:
    """(a step of the path, what is there, whether it is the last), from the root on, through every link."""
    here, links = "/", 0
    try:
        left = os.path.join(os.getcwd() if not path.startswith("/") else "/", path).split("/")[::-1]
        yield here, os.lstat(here), False
        while left:
            name = left.pop()
            if name in ("", "."):
                continue
            here = os.path.dirname(here) if name == ".." else os.path.join(here, name)
            found = os.lstat(here)
            if not stat.S_ISLNK(found.st_mode):
                yield here, found, not any(part not in ("", ".") for part in left)
                continue
            yield here, found, False
            links += 1
            target = os.readlink(here)
            if links > _MOST_LINKS:
                return
            here = "/" if target.startswith("/") else os.path.dirname(here)
            left += target.split("/")[::-1]
    except OSError:  # an error for the code that uses the path
        return


def _owner_fault(place: str, found: os.stat_result, last: bool, own: int) -> Untrusted | None:
    if found.st_uid in (0, own):
        return None
    if not last and found.st_uid == _UNMAPPED and not _is_namespace("user", _INITIAL_USER_NAMESPACE):
        return None  # root's, outside of the namespace
    if not _has_account(found.st_uid) and not _is_namespace("pid", _INITIAL_PID_NAMESPACE):
        return None  # a file from outside of a container, in which no process can have that uid
    command = "chown -h" if stat.S_ISLNK(found.st_mode) else "chown"
    repair = f"{command} {user_name(own)} {shlex.quote(place)}"
    return Untrusted(place, f"belongs to {user_name(found.st_uid)}", repair if os.geteuid() == 0 else f"sudo {repair}")


def _mode_fault(place: str, found: os.stat_result, last: bool, own: int) -> Untrusted | None:
    mode = found.st_mode
    if stat.S_ISDIR(mode):
        if mode & stat.S_ISVTX and not last:
            return None
    elif not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        return None  # a link has no mode of its own; a device's or a socket's is not ours to judge
    others = bool(mode & stat.S_IWOTH)
    group = bool(mode & stat.S_IWGRP) and not _is_private(found.st_gid, place, own)
    if not others and not group:
        return None
    writers = "every user" if others else f"the group {_group_name(found.st_gid)}"
    if stat.S_ISDIR(mode) and mode & stat.S_ISVTX:  # such as /tmp, which has to stay as it is
        own_place = shlex.quote(os.path.join(place, "meshd"))
        return Untrusted(place, f"can be written by {writers}; use a directory in it", f"mkdir -m 700 {own_place}")
    bits = ("g" if group else "") + ("o" if others else "")
    return Untrusted(place, f"can be written by {writers}", f"chmod {bits}-w {shlex.quote(place)}")


def _is_private(gid: int, place: str, own: int) -> bool:
    """Whether a group has no other member than the user and root, and no list of access rights adds to it."""
    try:
        os.getxattr(place, _ACL)
    except OSError:
        pass
    else:
        return False  # the group's bits may be those of a user that the list names
    try:
        members: set[int | None] = {uid_of(name) for name in grp.getgrgid(gid).gr_mem}
    except KeyError:
        return not _is_namespace("pid", _INITIAL_PID_NAMESPACE)
    members |= {account.pw_uid for account in pwd.getpwall() if account.pw_gid == gid}
    return members <= {0, own, None}


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _has_account(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _is_namespace(kind: str, number: int) -> bool:
    """Whether this process is in the namespace with that number. The machine's own have fixed ones."""
    try:
        return os.stat(f"/proc/self/ns/{kind}").st_ino == number
    except OSError:
        return True
