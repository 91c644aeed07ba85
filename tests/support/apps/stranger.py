"""Connections of another user, for tests that speak over them: the kernel names the process that connected."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from tests.support.apps.raw_peer import RawPeer
from tests.support.waiting import WAIT

CHILD = """
import os, socket, sys
over = socket.socket(fileno=0)
os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
while over.recv(1):
    made = socket.socket(socket.AF_UNIX)
    made.connect(sys.argv[1])
    socket.send_fds(over, [b"x"], [made.fileno()])
"""


class Stranger:
    """A process of that user, which connects when it is told to."""

    def __init__(self, path: Path, uid: int) -> None:
        self._over, theirs = socket.socketpair()
        self._over.settimeout(WAIT)
        with theirs:
            self.process = subprocess.Popen([sys.executable, "-c", CHILD, str(path), str(uid)], stdin=theirs)
        self._made: list[RawPeer] = []

    def connect(self, identity: bytes | None = b"") -> RawPeer:
        """identity: that it claims in READY; None: say nothing."""
        self._over.sendall(b"x")
        _, (descriptor,), _, _ = socket.recv_fds(self._over, 1, 1)
        self._made.append(RawPeer(socket.socket(fileno=descriptor), identity is not None, identity or b""))
        return self._made[-1]

    def end(self) -> None:
        """Its connections stay open: this process has them too."""
        self._over.close()
        self.process.wait(WAIT)

    def close(self) -> None:
        self.end()
        for each in self._made:
            each.close()
