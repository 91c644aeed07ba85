"""How many file descriptors are left, and for what the last of them are kept.

Owns: the reserve, which is for files, the journal and who connects here.
Must never: hold one.

Connections to providers leave it alone: a request that waits a moment costs nothing, while a daemon that cannot open a
file any more is of no use, and libzmq ends the process where it cannot accept a connection (`ipc_listener.cpp`).
"""

from __future__ import annotations

import errno
import os
import resource

_FEWEST, _MOST, _SHARE = 12, 64, 8
LAST = 6
"""With fewer left, who connects here waits."""


def reserve() -> int:
    """Descriptors that connections to providers leave: an eighth of what may be open, within bounds."""
    return min(max(_limit() // _SHARE, _FEWEST), _MOST)


def left(wanted: int) -> bool:
    """Whether so many are. The lowest free number is found by the kernel; below it all are in use."""
    try:
        lowest = os.dup(0)
    except OSError as error:
        return error.errno not in (errno.EMFILE, errno.ENFILE)
    os.close(lowest)
    return lowest + wanted < _limit()


def leave_reserve() -> None:
    """Before one is taken for a connection to a provider. Raises OSError (EMFILE)."""
    if not left(reserve()):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def _limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else 1 << 30
