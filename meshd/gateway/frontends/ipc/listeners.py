"""The addresses at which the socket listens: bound here, or handed in by a service manager.

Owns: the listening sockets, their doorkeepers, and the largest message that they accept.
Must never: read a message.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable
from typing import Any

import zmq

from meshd.gateway.frontends.ipc.doorkeeper import Doorkeeper
from modelmesh.errors import MeshError

logger = logging.getLogger("meshd.gateway")

_FRAMING = 1024**2  # bytes of a frame beyond max_message_size that are still read, so that the answer can be a 413
_BACKLOG = 4096  # connections waiting to be accepted


class Listeners:
    """The listeners of one ZeroMQ socket. largest: the configured bytes of a message."""

    def __init__(self, largest: Callable[[], int]) -> None:
        self.addresses: list[str] = []
        self.message_limit = largest()
        self._largest = largest
        self._ceiling = 0  # the largest message that the listening sockets accept
        self._doorkeepers: list[Doorkeeper] = []

    def bind(
        self,
        router: Any,
        loop: asyncio.AbstractEventLoop,
        address: str,
        fd: int | None,
        mode: int | None,
        gid: int | None,
    ) -> None:
        """Listen at an address; with `fd`, on a socket that systemd already listens on. mode, gid: of the socket's
        file, which was created for its owner only. Raises OSError; MeshError if mode or group cannot be set.

        libzmq reads MAXMSGSIZE when it binds: a listener keeps the limit that it was created with.
        """
        limit = self._largest()
        router.set(zmq.MAXMSGSIZE, limit + _FRAMING)
        path = address.removeprefix("ipc://") if address.startswith("ipc://") else None
        if path is not None:
            self._listen(router, loop, address, _listening(path) if fd is None else os.dup(fd))
        else:
            router.bind(address)
        self.addresses.append(address)
        if fd is None and path is not None:
            _open_to(path, mode, gid)
        self._ceiling = min(self._ceiling, limit) if self._ceiling else limit
        self.reloaded()

    def _listen(self, router: Any, loop: asyncio.AbstractEventLoop, address: str, ours: int) -> None:
        try:
            theirs = os.dup(ours)  # libzmq closes it with the socket
            _bind_to(router, theirs, address)
        except BaseException:
            os.close(ours)
            raise
        self._doorkeepers.append(Doorkeeper(loop, ours, theirs, _no_room))

    def reloaded(self) -> None:
        """The limits may have changed."""
        self.message_limit = min(self._largest(), self._ceiling) if self._ceiling else self._largest()
        if self._ceiling and self._largest() > self._ceiling:
            logger.warning(
                "daemon.max_message_size grows to %d bytes when meshd is started again; until then it is %d",
                self._largest(),
                self._ceiling,
            )

    def close(self, router: Any) -> None:
        for doorkeeper in self._doorkeepers:
            doorkeeper.close()
        for address in self.addresses:
            if address.startswith("inproc:"):  # otherwise the name would stay in use for a while
                router.unbind(address)


def _no_room() -> None:
    logger.warning(
        "new connections have to wait: meshd has no file descriptors left; raise LimitNOFILE= or `ulimit -n`"
    )


def _bind_to(router: Any, fd: int, address: str) -> None:
    router.set(zmq.USE_FD, fd)
    try:
        router.bind(address)
    except BaseException:
        os.close(fd)
        raise
    finally:
        router.set(zmq.USE_FD, -1)


def _open_to(path: str, mode: int | None, gid: int | None) -> None:
    try:
        if gid is not None:
            os.chown(path, -1, gid)
        if mode is not None:  # only now may others connect
            os.chmod(path, mode)
    except OSError as error:
        what = "mode" if gid is None else f"mode and group ({gid})"
        raise MeshError(f"cannot set {what} of {path}: {error.strerror}", code="socket_not_given") from None


def _listening(path: str) -> int:
    """A socket that listens there, replacing any file. Raises OSError."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        made.bind(path)
        made.listen(_BACKLOG)
        return made.detach()
    finally:
        made.close()
