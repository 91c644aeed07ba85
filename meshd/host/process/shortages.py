"""Recognises exceptions that this machine's own shortages cause.

Owns: which system errors say nothing about the server that was called, and what to do about each.
Must never: open or look up anything, because no descriptor may be left.

Sources: errno(3), socket(2), connect(2), getaddrinfo(3), pthread_create(3).
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Iterator

_NO_MEMORY = "this machine has no memory left for a connection; free some, or stop what uses it"
_THREADS = -1_000_000  # not an error number: see `no_thread`
_FULL_DISK = "this machine's disk is full; free some space"
_OF_THE_MACHINE: dict[int, str] = {
    errno.EMFILE: "meshd has no file descriptors left; raise LimitNOFILE= of its unit, or `ulimit -n`",
    errno.ENFILE: "this machine has no file descriptors left; raise the sysctl fs.file-max",
    errno.ENOMEM: _NO_MEMORY,
    errno.ENOBUFS: _NO_MEMORY,
    socket.EAI_MEMORY: _NO_MEMORY,
    errno.ENOSPC: _FULL_DISK,
    errno.EDQUOT: _FULL_DISK,
    _THREADS: "meshd cannot start another thread; raise TasksMax= of its unit, or `ulimit -u`",
}
_NO_NAMES = "this machine cannot look up names now; check its network and its name server (DNS)"
_OF_THE_NETWORK: dict[int, str] = {
    errno.ENETUNREACH: "this machine cannot reach the network; is it connected?",
    errno.ENETDOWN: "the network of this machine is down; is it connected?",
    errno.EADDRNOTAVAIL: "this machine has no local port or address left to connect from; close connections, or widen "
    "the sysctl net.ipv4.ip_local_port_range",
    socket.EAI_AGAIN: _NO_NAMES,
}
"""Counted only if no address fails for another reason: without IPv6, half of the addresses are unreachable."""
_INSIDE = re.compile(r"\[Errno (-?\d+)\]")
_DEEPEST = 16
_OTHER = 0


class ThisNameOnly(socket.gaierror):
    """A name that cannot be looked up although others can: it is misspelt, or its name server fails."""


def lack_of(error: BaseException) -> str | None:
    """What this machine lacks and what to do, as a sentence without its full stop; None: another kind of error."""
    causes = list(_causes(error, 0))
    for cause in causes:
        if cause in _OF_THE_MACHINE:
            return _OF_THE_MACHINE[cause]
    if causes and all(cause in _OF_THE_NETWORK for cause in causes):
        return _OF_THE_NETWORK[causes[0]]
    return None


def no_thread(error: BaseException) -> bool:
    """Whether it says that no further thread can be started, which Python reports only in words."""
    return isinstance(error, RuntimeError) and "start new thread" in str(error)


def _causes(error: BaseException, depth: int) -> Iterator[int]:
    """The error numbers inside wrapped errors. 0: another error."""
    if depth > _DEEPEST:
        return
    inner = _inside(error)
    if inner:
        for each in inner:
            yield from _causes(each, depth + 1)
    elif isinstance(error, MemoryError):
        yield errno.ENOMEM
    elif isinstance(error, ssl.SSLError | ThisNameOnly) or not isinstance(error, OSError):
        yield _THREADS if no_thread(error) else _OTHER
    elif error.errno is None:
        # aiohappyeyeballs reports the errors of several addresses only in words.
        yield from [int(number) for number in _INSIDE.findall(str(error)[:4096])] or [_OTHER]
    elif error.errno == errno.EAGAIN:
        yield _OTHER  # EAGAIN of a socket: its listener's queue is full
    else:
        yield error.errno


def _inside(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return list(error.exceptions)
    if error.__cause__ is not None:
        return [error.__cause__]
    says = isinstance(error, OSError) and error.errno is not None
    if error.__context__ is not None and not error.__suppress_context__ and not says:
        return [error.__context__]
    return []
