"""How many file descriptors are left, and what the last ones are reserved for.

Owns: the reserve, which is for files, the journal and clients.
Must never: hold one.

Connections to providers must not use it: a request can wait, while a daemon that cannot open files is of no use, and
libzmq aborts the process if it cannot accept a connection (`ipc_listener.cpp`).
"""

from __future__ import annotations

import errno
import os
import resource

_FEWEST, _MOST, _SHARE = 12, 64, 8
LAST = 6
"""With fewer left, new clients wait."""


def reserve() -> int:
    """Descriptors that connections to providers must leave: an eighth of the limit, within bounds."""
    return min(max(_limit() // _SHARE, _FEWEST), _MOST)


def left(wanted: int) -> bool:
    """Whether `wanted` descriptors are left. The kernel gives the lowest free number; all below it are in use."""
    try:
        lowest = os.dup(0)
    except OSError as error:
        return error.errno not in (errno.EMFILE, errno.ENFILE)
    os.close(lowest)
    return lowest + wanted < _limit()


def leave_reserve() -> None:
    """To be called before a connection to a provider takes one. Raises OSError (EMFILE)."""
    if not left(reserve()):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def _limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else 1 << 30
