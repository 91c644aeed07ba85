"""Whether a client that has ended its side of a connection still has the other, and may read an answer.

Owns: the questions to the kernel. Must never: count a client as present unless the kernel shows that it is.

A client that waits for its answer after its last byte looks the same as one that has exited. For programs of this
machine the kernel knows: a UNIX socket hangs up when its other end is closed, and a TCP socket that no program has any
more has no inode. For a client on another machine, only sending shows whether it is there.
"""

from __future__ import annotations

import asyncio
import select
from typing import Any

from meshd.host.trust.socket_owners import peer_of


def waits(transport: asyncio.BaseTransport, *, is_unix: bool) -> bool:
    """Whether a program of this machine has the other end open. It takes some tens of microseconds."""
    connected = transport.get_extra_info("socket")
    if connected is None:
        return False
    try:
        return not _hung_up(connected) if is_unix else _is_held(connected)
    except OSError:  # it is closed already
        return False


def _hung_up(connected: Any) -> bool:
    poll = select.poll()
    poll.register(connected.fileno(), 0)  # POLLHUP is always reported
    return bool(poll.poll(0))


def _is_held(connected: Any) -> bool:
    return peer_of(connected.getsockname(), connected.getpeername()) is not None
