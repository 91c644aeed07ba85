"""Accepts the connections to the daemon's sockets, and asks the kernel who connected.

Owns: the listening sockets. Must never: read from a connection, or decide who may have one (`connection_places.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import time
from collections.abc import Callable

from meshd.core.caller import Peer, is_owner
from meshd.gateway.frontends.peer_identity import of_socket, of_tcp, user_of
from meshd.gateway.frontends.shares.connection_places import NO_DESCRIPTORS, ConnectionPlaces
from modelmesh.errors import MeshError

logger = logging.getLogger("meshd.gateway")

_BACKLOG = 4096  # connections that wait to be accepted
_AT_ONCE = 0.001  # s of accepting before the loop may do something else for as long
_LEADS_TO = 3  # times as long: the further work that connections of strangers cause before they show who they are
_NO_ROOM_REST = 0.05  # s without a free descriptor
_GONE_AFTER = 120  # s without a sign of life from another machine, after which the kernel closes its idle connections
_TELL_EVERY = 60.0  # s between two warnings


class Acceptor:
    """connected: called with a socket and the caller at its other end. places: those for the connections of all
    acceptors. objection: why a caller may not connect here, or ""."""

    def __init__(
        self,
        connected: Callable[[socket.socket, Peer], None],
        places: ConnectionPlaces,
        objection: Callable[[Peer], str] = lambda caller: "",
    ) -> None:
        self.addresses: list[str] = []
        self._connected = connected
        self._places = places
        self._objection = objection
        self._listening: list[socket.socket] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timers: set[asyncio.TimerHandle] = set()
        self._spare = -1  # a descriptor, to accept and close a connection with when there is no other
        self._told = {"": 0.0}

    def listen(
        self, loop: asyncio.AbstractEventLoop, path: str, fd: int | None, mode: int | None, gid: int | None
    ) -> None:
        """At a path; with `fd`, on a socket that systemd already listens on. mode, gid: of the socket's file, which is
        created for its owner only. Raises OSError; MeshError if mode or group cannot be set."""
        made = _listening(path) if fd is None else socket.socket(fileno=os.dup(fd))
        self._add(loop, made)
        self.addresses.append(f"ipc://{path}")
        if fd is None:
            _open_to(path, mode, gid)
        loop.add_reader(made.fileno(), self._accept, made)

    def listen_tcp(self, loop: asyncio.AbstractEventLoop, host: str, port: int) -> int:
        """At an IP address; port 0: any that is free. Returns the port. Raises OSError."""
        made = _listening_tcp(host, port)
        self._add(loop, made)
        loop.add_reader(made.fileno(), self._accept, made)
        found: int = made.getsockname()[1]
        return found

    def _add(self, loop: asyncio.AbstractEventLoop, made: socket.socket) -> None:
        self._loop = loop
        if self._spare < 0:
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            self._places.open()
        made.setblocking(False)
        self._listening.append(made)

    def stop(self) -> None:
        """Accept nothing more. New connections wait for the next daemon at this address, if it was given the socket."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        for made in self._listening:
            if self._loop is not None and made.fileno() >= 0:
                self._loop.remove_reader(made.fileno())

    def close(self) -> None:
        self.stop()
        for made in self._listening:
            made.close()
        self._listening.clear()
        self._close_spare()

    def _accept(self, listening: socket.socket) -> None:
        """All users share the queue, so a refusal has to be quick and the loop must have time for others."""
        is_unix = listening.family == socket.AF_UNIX
        began = time.monotonic()
        now, refused, strange = began, False, False
        while now - began < _AT_ONCE:
            try:
                accepted, _ = listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                break
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS):
                    self._shed(listening)
                    return
                logger.warning("a connection cannot be accepted: %s", error)
                self._rest(listening, _NO_ROOM_REST)
                return
            caller = Peer(user_of(accepted)) if is_unix else of_tcp(accepted)
            uid = caller.uid
            strange = strange or uid < 0
            refusal = self._objection(caller) or self._places.refusal(caller.shares_as, now, own=is_owner(caller))
            if refusal:
                accepted.close()
                whose = f"user {uid}" if uid >= 0 else caller.network or "another machine"
                self._tell(whose, f"a connection of {whose} is refused: {refusal}")
                refused = True
            else:
                accepted.setblocking(False)
                self._connected(accepted, of_socket(accepted) if is_unix else caller)
            now = time.monotonic()
        if refused or now - began >= _AT_ONCE:  # a refused client tries again at once
            self._rest(listening, max(now - began, _AT_ONCE / 2) * (_LEADS_TO if strange else 1))

    def _shed(self, listening: socket.socket) -> None:
        """No descriptor is left: the client that has waited longest is turned away, so that the queue moves."""
        self._close_spare()
        with contextlib.suppress(OSError):
            listening.accept()[0].close()
        with contextlib.suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._tell("full", f"new connections are refused: {NO_DESCRIPTORS}")
        self._rest(listening, _NO_ROOM_REST)

    def _close_spare(self) -> None:
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1  # its number may soon be another file's

    def _rest(self, listening: socket.socket, seconds: float) -> None:
        assert self._loop is not None
        self._loop.remove_reader(listening.fileno())

        def again() -> None:
            self._timers.discard(timer)
            if self._loop is not None:
                self._loop.add_reader(listening.fileno(), self._accept, listening)

        timer = self._loop.call_later(seconds, again)
        self._timers.add(timer)

    def _tell(self, what: str, warning: str) -> None:
        now = time.monotonic()
        if now - self._told.get(what, -_TELL_EVERY) >= _TELL_EVERY:
            if len(self._told) > 64:
                self._told.clear()
            self._told[what] = now
            logger.warning("%s", warning)


def _listening(path: str) -> socket.socket:
    """A socket that listens there, replacing any file. Raises OSError."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        made.bind(path)
        made.listen(_BACKLOG)
    except BaseException:
        made.close()
        raise
    return made


def _listening_tcp(host: str, port: int) -> socket.socket:
    """Raises OSError."""
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # and so have the accepted ones
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _GONE_AFTER // 2)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _GONE_AFTER // 8)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
        made.bind((host, port))
        made.listen(_BACKLOG)
    except BaseException:
        made.close()
        raise
    return made


def _open_to(path: str, mode: int | None, gid: int | None) -> None:
    try:
        if gid is not None:
            os.chown(path, -1, gid)
        if mode is not None:  # only now may others connect
            os.chmod(path, mode)
    except OSError as error:
        what = "mode" if gid is None else f"mode and group ({gid})"
        raise MeshError(f"cannot set {what} of {path}: {error.strerror}", code="socket_not_given") from None
