from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from meshd.cli.holder import held_by

# Like systemd: a process of that name listens, and another may accept.
SYSTEMD = """
import socket, sys
open("/proc/self/comm", "w").write("systemd")
with socket.socket(socket.AF_UNIX) as line:
    line.bind(sys.argv[1])
    line.listen(1)
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "mesh.sock")


@pytest.fixture
def systemd(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """`systemd(said)`: it holds the socket, and `said` is what systemctl says of the service."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with subprocess.Popen(
        [sys.executable, "-c", SYSTEMD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

        def says(said: str) -> None:
            (tmp_path / "systemctl").write_text(f"#!/bin/sh\nprintf '{said}'\n")
            (tmp_path / "systemctl").chmod(0o755)

        yield says
        process.communicate()


def test_nobody(path: str) -> None:
    assert held_by(path) is None


def test_a_process_of_its_own(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as line:
        line.bind(path)
        line.listen(1)
        found = held_by(path)
    assert found is not None
    assert found.runs
    assert found.says == f"process {os.getpid()} is stopped, or stuck"
    assert found.advice == [
        f"if it is stopped, continue it: kill -CONT {os.getpid()}",
        f"if it is stuck, end it and start it again: kill -KILL {os.getpid()}",
    ]


@pytest.mark.parametrize("said", ["ActiveState=failed\\nMainPID=0\\n", "MainPID=12\\nActiveState=activating\\n", ""])
def test_a_service_that_does_not_run_is_not_stuck(path: str, systemd: Callable[[str], None], said: str) -> None:
    systemd(said)
    found = held_by(path)
    assert found is not None
    assert not found.runs
    assert found.says == "systemd holds the socket, and the service does not run"
    assert found.advice[0] == "see why: journalctl --user -u meshd -e"


def test_a_service_that_runs_and_does_not_answer_is(path: str, systemd: Callable[[str], None]) -> None:
    systemd("MainPID=12\\nActiveState=active\\n")
    found = held_by(path)
    assert found is not None
    assert found.runs
    assert found.says == "process 12 is stopped, or stuck"
    assert found.advice[1] == "if it is stuck, restart it: systemctl --user restart meshd"
