"""The users and groups of this machine, by name.

Must never: be used by the router: a directory service may take seconds to answer.
"""

from __future__ import annotations

import grp
import pwd


def uid_of(name: str) -> int | None:
    """None: there is no such user."""
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def gid_of(name: str) -> int | None:
    """None: there is no such group."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def user_names() -> list[str]:
    return [entry.pw_name for entry in pwd.getpwall()]


def group_names() -> list[str]:
    return [entry.gr_name for entry in grp.getgrall()]
