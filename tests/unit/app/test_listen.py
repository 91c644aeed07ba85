"""Descriptors handed in by a service manager: taken in a child process, where descriptor 3 is free to set."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = """
import json, os, sys
from meshd.app.listen import ListenError, take_sockets
os.environ["LISTEN_PID"] = os.environ.get("TEST_PID") or str(os.getpid())
try:
    taken = [list(s) + [os.get_inheritable(s.fd)] for s in take_sockets()]
except ListenError as error:
    taken = str(error)
print(json.dumps({"taken": taken, "left": sorted(k for k in os.environ if k.startswith("LISTEN_"))}))
"""


def take(given: list[int], **variables: str) -> dict[str, object]:
    """What a child sees that got `given` as its descriptors 3, 4, …"""

    # The shell, not preexec_fn, moves the descriptors: this process may have threads.
    moves = " ".join(f"{3 + place}<&{fd}" for place, fd in enumerate(given))
    done = subprocess.run(
        ["bash", "-c", f'exec "$0" -c "$1" {moves}', sys.executable, CHILD],
        env={**os.environ, "LISTEN_FDS": str(len(given)), **variables},
        pass_fds=given,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


@pytest.fixture
def listening(tmp_path: Path):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(tmp_path / "mesh.sock"))
    sock.listen(8)
    # Away from 3 and 4, which the child's shell writes over.
    high = socket.socket(fileno=fcntl.fcntl(sock, fcntl.F_DUPFD_CLOEXEC, 200))
    sock.close()
    yield high
    high.close()


def test_a_listening_socket_with_its_name_and_path(listening: socket.socket, tmp_path: Path) -> None:
    seen = take([listening.fileno()], LISTEN_FDNAMES="mesh")
    assert seen == {"taken": [[3, "mesh", str(tmp_path / "mesh.sock"), False]], "left": []}


def test_names_may_be_missing(listening: socket.socket) -> None:
    seen = take([listening.fileno(), listening.fileno()], LISTEN_FDNAMES="mesh")
    assert [entry[1] for entry in seen["taken"]] == ["mesh", "unknown"]


def test_another_process_was_meant(listening: socket.socket) -> None:
    assert take([listening.fileno()], TEST_PID="1") == {"taken": [], "left": []}


def test_nothing_handed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    from meshd.app.listen import take_sockets

    monkeypatch.delenv("LISTEN_FDS", raising=False)
    assert take_sockets() == []
    monkeypatch.setenv("LISTEN_FDS", "many")
    assert take_sockets() == []
    assert "LISTEN_FDS" not in os.environ


def test_what_cannot_be_listened_on(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as idle:
        idle.bind(str(tmp_path / "idle"))
        assert "does not listen" in str(take([idle.fileno()])["taken"])
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as inet:
        assert "not a UNIX stream socket" in str(take([inet.fileno()])["taken"])
    with open(tmp_path / "file", "w") as plain:
        assert "is not a socket" in str(take([plain.fileno()])["taken"])
