"""One connection that dials one daemon once: what its two forms, a UNIX socket and a zmq socket, have in common.

Owns: what is known about the daemon.
Must never: block, redial (its owner opens another link), or know what a request means.

A link is never repaired; a lost one is replaced by a new one.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

from modelmesh.protocol import HEARTBEAT_SECONDS, WelcomeHead


class Link(ABC):
    """HELLO is sent on it before anything else.

    fd: readable when something may have come. monitor_fd: readable when `observe` has something to read; -1: there is
    none. connected: the handshake is done, so that sent messages may have been read. refused: the daemon does not admit
    this client's key. handed: the last `receive` had a message.
    """

    __slots__ = (
        "closed",
        "connected",
        "draining",
        "failed",
        "fd",
        "handed",
        "last_heard",
        "monitor_fd",
        "refused",
        "welcome",
    )

    def __init__(self) -> None:
        self.fd = self.monitor_fd = -1
        self.connected = False
        self.welcome: WelcomeHead | None = None
        self.draining = False
        self.failed = False
        self.refused = False
        self.closed = False
        self.handed = False
        self.last_heard = time.monotonic()

    @property
    def instance(self) -> str:
        return self.welcome.instance if self.welcome is not None else ""

    @property
    def heartbeat(self) -> float:
        """Seconds between two PINGs."""
        if self.welcome is None or self.welcome.heartbeat_ms <= 0:
            return HEARTBEAT_SECONDS
        return self.welcome.heartbeat_ms / 1000

    @property
    def unsent(self) -> bool:
        """Whether it has to be written to, by `receive`, when `fd` takes more."""
        return False

    @abstractmethod
    def send(self, frames: list[bytes]) -> None:
        """Queue one message. A peer that is known to be gone sets `failed`."""

    @abstractmethod
    def receive(self) -> list[bytes] | None:
        """The next message, None if there is none now. To be called until None before `fd` is polled. An exception of a
        signal handler may set `failed`."""

    def observe(self) -> None:
        """Read what `monitor_fd` tells into `connected` and `failed`, which a handshake that takes too long sets, too.
        Does nothing on a closed link."""
        return

    @abstractmethod
    def close(self) -> None:
        """Close at once; what could not be sent yet may be dropped. Idempotent."""
