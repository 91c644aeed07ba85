"""The real daemon under a service manager's protocol: sockets handed in, notifications, the watchdog."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import modelmesh
from modelmesh.testing import SCRIPTED

PATIENCE = 20.0

# What systemd does: the socket as descriptor 3, the variables naming this process, then exec.
HAND_IN = """
import os, sys
os.dup2(int(sys.argv[1]), 3, inheritable=True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES="mesh")
os.execv(sys.executable, [sys.executable, "-m", "meshd", *sys.argv[2:]])
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "mesh.json").write_text(json.dumps(SCRIPTED))
    return tmp_path


def environment(place: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LISTEN_", "WATCHDOG_"))}
    return kept | {"STATE_DIRECTORY": str(place / "state")} | more


def ended(process: subprocess.Popen[Any]) -> int:
    process.terminate()
    try:
        return process.wait(PATIENCE)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(PATIENCE)


def ask(path: Path) -> str:
    with modelmesh.OpenAIClient(path, timeout=PATIENCE) as client:
        reply = client.chat.completions.create(
            model="chat-completion", messages=[{"role": "user", "content": "are you there?"}]
        )
    return str(reply.choices[0].message.content)


@pytest.fixture
def short() -> Iterator[Path]:
    """A socket path that fits into an address."""
    with tempfile.TemporaryDirectory(prefix="mesh-") as directory:
        yield Path(directory) / "mesh.sock"


def test_a_request_sent_before_the_daemon_is_there(place: Path, short: Path) -> None:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(short))
    listening.listen(64)
    # The client connects and sends while no daemon is behind the socket.
    asking = subprocess.Popen(
        [sys.executable, "-m", "meshd.cli", "--socket", str(short), "chat", "chat-completion", "are you there?"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    daemon = None
    try:
        listening.settimeout(PATIENCE)
        assert _has_caller(listening)
        daemon = subprocess.Popen(
            [sys.executable, "-c", HAND_IN, str(listening.fileno()), "--config", str(place / "mesh.json")],
            pass_fds=[listening.fileno()],
            env=environment(place),
            stderr=subprocess.DEVNULL,
        )
        answer, said = asking.communicate(timeout=PATIENCE)
        assert (asking.returncode, bool(answer.strip())) == (0, True), said
        assert ask(short)
        assert ended(daemon) == 0
        assert short.exists(), "the socket file is the service manager's"
    finally:
        asking.kill()
        asking.wait(PATIENCE)
        if daemon is not None:
            ended(daemon)
        listening.close()


def _has_caller(listening: socket.socket) -> bool:
    """Whether a connection waits to be accepted; it is left waiting."""
    return bool(select.select([listening], [], [], PATIENCE)[0])


@pytest.mark.skipif(shutil.which("systemd-socket-activate") is None, reason="systemd is not installed")
def test_systemd_socket_activate(place: Path, short: Path) -> None:
    launcher = subprocess.Popen(
        [
            "systemd-socket-activate",
            f"--listen={short}",
            "--fdname=mesh",
            *(f"--setenv={name}" for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ),
            f"--setenv=STATE_DIRECTORY={place / 'state'}",
            sys.executable,
            "-m",
            "meshd",
            f"--config={place / 'mesh.json'}",
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert launcher.stderr is not None
        assert "Listening on" in launcher.stderr.readline()
        assert ask(short)
    finally:
        # It has become the daemon: the first connection made it exec.
        assert ended(launcher) == 0


@pytest.fixture
def manager() -> Iterator[socket.socket]:
    with tempfile.TemporaryDirectory(prefix="mesh-") as directory:
        line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        line.bind(f"{directory}/notify")
        line.settimeout(PATIENCE)
        yield line
        line.close()


def heard(line: socket.socket, wanted: str) -> dict[str, str]:
    """The first message with that field."""
    while True:
        fields = dict(field.split("=", 1) for field in line.recv(8192).decode().split("\n"))
        if wanted in fields:
            return fields


def test_notifications(place: Path, short: Path, manager: socket.socket) -> None:
    config = place / "mesh.json"
    daemon = subprocess.Popen(
        [sys.executable, "-m", "meshd", "--config", str(config), "--socket", str(short)],
        env=environment(place, NOTIFY_SOCKET=manager.getsockname(), WATCHDOG_USEC="1000000"),
        stderr=subprocess.DEVNULL,
    )
    try:
        assert "STATUS" in heard(manager, "READY")
        assert ask(short)
        assert heard(manager, "WATCHDOG") == {"WATCHDOG": "1"}
        daemon.send_signal(signal.SIGHUP)
        assert int(heard(manager, "RELOADING")["MONOTONIC_USEC"]) > 0
        assert heard(manager, "READY")
        daemon.send_signal(signal.SIGTERM)
        assert heard(manager, "STOPPING")
        assert daemon.wait(PATIENCE) == 0
        assert not short.exists()
    finally:
        ended(daemon)


def test_a_wrong_configuration_is_not_worth_a_restart(place: Path, short: Path) -> None:
    (place / "mesh.json").write_text('{"pools": {"a": {"capabilitie": "chat-completion"}}}')
    done = subprocess.run(
        [sys.executable, "-m", "meshd", "--config", str(place / "mesh.json"), "--socket", str(short)],
        env=environment(place),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 78
    assert "capabilitie" in done.stderr
    assert "Traceback" not in done.stderr
