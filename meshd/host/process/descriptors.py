"""How many file descriptors the process may have, how many are left, and a reserve of them.

Owns: the limit, and the reserve, which is for files, the journal and clients.
Must never: hold one.

Connections to providers must not use the reserve: a request can wait, but a daemon that cannot open files or accept
clients is useless.
"""

from __future__ import annotations

import errno
import os
import resource

FEWEST_FILES = 48
"""With fewer, a daemon cannot even report that it has too few."""
_ENOUGH_FILES = 256
_WANTED_FILES = 65_536

_FEWEST, _MOST, _SHARE = 12, 64, 8
LAST = 6
"""With fewer left, new clients wait."""


def raise_file_limit() -> tuple[int, str | None]:
    """Raise the limit as far as allowed. Returns the limit, and a warning if it is low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, _WANTED_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (OSError, ValueError):
            pass
    if soft == resource.RLIM_INFINITY or soft >= _ENOUGH_FILES:
        return soft, None
    return soft, f"only {soft} files may be open at once: raise `ulimit -n` (LimitNOFILE= in a unit) to 1024 or more"


def reserve() -> int:
    """Descriptors that connections to providers must leave free: an eighth of the limit, within bounds."""
    return min(max(limit() // _SHARE, _FEWEST), _MOST)


def left(wanted: int) -> bool:
    """Whether `wanted` descriptors are left."""
    return in_use() + wanted < limit()


def in_use() -> int:
    """How many are open, at least: the kernel gives out the lowest free number, so all below it are in use."""
    try:
        lowest = os.dup(0)
    except OSError as error:
        return limit() if error.errno in (errno.EMFILE, errno.ENFILE) else 0
    os.close(lowest)
    return lowest


def leave_reserve() -> None:
    """Call it before a connection to a provider takes a descriptor. Raises OSError (EMFILE)."""
    if not left(reserve()):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def limit() -> int:
    """How many may be open at once."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else 1 << 30
