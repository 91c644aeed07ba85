"""Connections of another user, for tests that speak over them: the kernel names the process that connected."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.apps.raw_peer import RawPeer
from tests.support.waiting import WAIT, until

LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
OTHER = "/usr/bin/sleep"

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


def pids_can_be_chosen() -> None:
    """Skips the test otherwise."""
    if not os.access(LAST_PID, os.W_OK):
        pytest.skip("this kernel does not let pids be chosen")


@contextmanager
def reborn(pid: int, uid: int) -> Iterator[None]:
    """Another program (OTHER) of that user has this pid during the block."""
    tried: list[subprocess.Popen[bytes]] = []

    def found() -> bool:
        LAST_PID.write_text(str(pid - 1))
        tried.append(subprocess.Popen([OTHER, "60"], user=uid, group=uid, extra_groups=[]))
        if tried[-1].pid != pid:
            _end(tried.pop())
        return bool(tried)

    try:
        until(found, what="a process gets that pid")
        yield
    finally:
        for each in tried:
            _end(each)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait(WAIT)
