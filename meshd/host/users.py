"""The users and groups of this machine, by name.

A directory service may take seconds to answer. In the router's thread, use only `user_name`, which does not ask it.
"""

from __future__ import annotations

import grp
import pwd
from functools import lru_cache

PASSWD = "/etc/passwd"
LOGIN_DEFS = "/etc/login.defs"
_SYSTEM = 999  # the highest uid of a system user, where LOGIN_DEFS has no SYS_UID_MAX
OVERFLOW_UID = "/proc/sys/kernel/overflowuid"
"""What the kernel shows for a uid of another user namespace; systems give it to the user without rights."""
_OVERFLOW = 65_534


def uid_of(name: str) -> int | None:
    """None if there is no such user."""
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def gid_of(name: str) -> int | None:
    """None if there is no such group."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def user_names() -> list[str]:
    return [entry.pw_name for entry in pwd.getpwall()]


def group_names() -> list[str]:
    return [entry.gr_name for entry in grp.getgrall()]


@lru_cache(maxsize=256)
def user_name(uid: int) -> str:
    """The name of a local user, the number of any other: getpwuid would ask a directory service."""
    return next(iter(_local(uid)), str(uid))


@lru_cache(maxsize=256)
def home_of(uid: int) -> str:
    """The home of a local user, "" of any other."""
    fields = _local(uid)
    return fields[5].rstrip("/") if len(fields) > 5 else ""


def _local(uid: int) -> list[str]:
    """The fields of a local user's line."""
    try:
        with open(PASSWD, encoding="utf-8", errors="replace") as file:
            for line in file:
                fields = line.rstrip("\n").split(":")
                if len(fields) > 2 and fields[2] == str(uid):
                    return fields
    except OSError:
        pass
    return []


@lru_cache(maxsize=256)
def is_system_user(uid: int) -> bool:
    """Whether it is root or a system user. The uid that stands for users unknown here is neither."""
    return uid == 0 or (0 < uid <= _highest_system_uid() and uid != _overflow_uid())


def _overflow_uid() -> int:
    try:
        with open(OVERFLOW_UID, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return _OVERFLOW


def _highest_system_uid() -> int:
    try:
        with open(LOGIN_DEFS, encoding="utf-8", errors="replace") as file:
            for line in file:
                match line.split():
                    case ["SYS_UID_MAX", number, *_] if number.isdigit():
                        return int(number)
    except OSError:
        pass
    return _SYSTEM
