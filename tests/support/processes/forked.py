"""Processes of ours that start in milliseconds: a server has imported the programs, and forks for each one.

Owns: their start with descriptors, an environment and a session of their own, and their end. Must never: be used where
the start of the interpreter, its options or what it imports is tested.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from meshd.cli.entry import COMMANDS
from meshd.host.process import start

ROOT = Path(__file__).parents[3]
_COMMANDS = sorted({f"meshd.cli.{name}" for name in COMMANDS.values()})
_DAEMON = ("meshd.app.main", "meshd.mesh", "watchfiles", "yaml")
_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload([*_DAEMON, "meshd.cli.entry", *_COMMANDS, "tests.support.processes.forked"])


class Forked:
    """`program`: "meshd" or "meshctl". Its standard streams are `descriptors`. The rest is as in subprocess.Popen."""

    def __init__(
        self,
        program: str,
        words: Sequence[str],
        descriptors: Sequence[int],
        environment: Mapping[str, str],
        directory: Path = ROOT,
    ) -> None:
        self.args = [program, *words]
        streams = [Connection(os.dup(descriptor)) for descriptor in descriptors]  # these travel to the process
        self._process = _FORKING.Process(
            target=_main, args=(self.args, streams, dict(environment), directory), daemon=True
        )
        self._process.start()
        self.pid = int(self._process.pid or 0)

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()


def _main(args: list[str], streams: list[Connection], environment: dict[str, str], directory: Path) -> None:
    """In the process: what the interpreter does before `python -m`, then the program."""
    os.setsid()
    os.chdir(directory)
    for wanted, stream in enumerate(streams):
        os.dup2(stream.fileno(), wanted)
        stream.close()
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.argv = args
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    if environment.get("PYTHONFAULTHANDLER"):
        faulthandler.enable()
    start.daemon() if args[0] == "meshd" else start.command()
