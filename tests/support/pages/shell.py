"""A shell for the commands of pages, in which `meshctl` starts in milliseconds.

Owns: a folder of programs that comes first in PATH, and a thread that forks `meshctl` for those who call it there.
"""

from __future__ import annotations

import json
import os
import pty
import socket
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

from tests.support.processes.forked import Forked
from tests.support.waiting import WAIT

# Whoever calls it hands over its streams, and ends as the forked one does.
_CALLER = """#!/usr/bin/python3 -SEs
import json, os, socket, sys
line = socket.socket(socket.AF_UNIX)
line.connect({address!r})
said = json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]).encode()
socket.send_fds(line, [len(said).to_bytes(4, "big")], [0, 1, 2])
line.sendall(said)
os._exit(int(line.recv(16) or b"1"))
"""


class Shell:
    """others: programs that stand in for others, as scripts."""

    def __init__(self, directory: Path, environment: dict[str, str], others: Mapping[str, str]) -> None:
        self.home = directory / "home"
        self.home.mkdir()
        programs = directory / "programs"
        programs.mkdir()
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(directory / "shell.sock"))
        self._listening.listen(16)
        self._program(programs / "meshctl", _CALLER.format(address=str(directory / "shell.sock")))
        for name, script in others.items():
            self._program(programs / name, f"#!/bin/sh\n{script}\n")
        self._environment = {
            "HOME": str(self.home),
            "PATH": f"{programs}:{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "COLUMNS": "120",
            **environment,
        }
        threading.Thread(target=self._serve, daemon=True).start()

    def run(self, script: str, typed: str = "") -> tuple[int, str]:
        """Its exit status, and what it printed on both streams. The first command that fails ends it.

        typed: on a terminal, which then sends Ctrl-D."""
        keyboard, terminal = pty.openpty()
        os.write(keyboard, f"{typed}\x04\x04".encode())
        words = ["timeout", str(3 * WAIT), "bash", "--norc", "--noprofile", "-eo", "pipefail", "-c", script]
        try:
            done = subprocess.run(
                words,
                stdin=terminal,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd=self.home,
                start_new_session=True,
                check=False,
            )
        finally:
            os.close(keyboard)
            os.close(terminal)
        return done.returncode, done.stdout.decode(errors="replace")

    def close(self) -> None:
        self._listening.close()

    @staticmethod
    def _program(path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._listening.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._fork, args=(line,), daemon=True).start()

    @staticmethod
    def _fork(line: socket.socket) -> None:
        with line:
            size, descriptors, _, _ = socket.recv_fds(line, 4, 3)
            said = b""
            while len(said) < int.from_bytes(size, "big"):
                said += line.recv(65536)
            words, environment, directory = json.loads(said)
            process = Forked("meshctl", words, descriptors, environment, Path(directory))
            for descriptor in descriptors:
                os.close(descriptor)
            try:
                code = process.wait(3 * WAIT)
            except subprocess.TimeoutExpired:
                process.kill()
                code = 124
            line.sendall(str(code % 256).encode())
