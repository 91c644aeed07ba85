"""The daemon's side: starts the process, asks it, and ends it.

Must never: wait longer than it was told, or give the process the daemon's keys.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import struct
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from meshd.connectors.providers.embedded.process import child_environment

_STARTS_WITHIN = 60.0  # s
_ENDS_WITHIN = 0.5  # s
_READ_AT_ONCE = 64 * 1024
_PIPE = 1024 * 1024
"""Bytes that the pipe holds: each wait for room in it takes the interpreter away from requests."""
_length = struct.Struct("!I").pack


class Ended(Exception):
    """The process ended."""


class TooLong(Ended):
    """The code took too long, so the process has to be ended."""


class ChildProcess:
    """module, arguments: what is run. environment: variables of the daemon that it needs, besides the usual ones.
    most: bytes of an answer. first: a message for it before it serves, which other users must not see."""

    def __init__(
        self, module: str, *arguments: str, environment: Iterable[str] = (), most: int = 64 * 1024, first: bytes = b""
    ) -> None:
        self._command = [sys.executable, "-P", "-m", module, *arguments]
        self._environment = frozenset(environment)
        self._most = most
        self._first = first
        self._process: subprocess.Popen[bytes] | None = None
        self._said = b""

    def start(self, within: float = _STARTS_WITHIN) -> None:
        """Does nothing if it runs. Raises OSError, which says why it cannot serve; TimeoutError if that takes longer
        than so many seconds."""
        if self._process is not None:
            return
        own = {name: value for name, value in os.environ.items() if name in self._environment}
        self._said = b""
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=child_environment(os.environ) | own,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)
        with suppress(OSError):  # the machine may have a lower limit
            fcntl.fcntl(self._process.stdin, fcntl.F_SETPIPE_SZ, _PIPE)
        until = time.monotonic() + within
        try:
            if self._first:
                self._tell(self._first, until)
            error = self._answer(until)["error"]
        except TooLong as late:
            self.end()
            raise TimeoutError(str(late)) from None
        except Ended as ended:
            error = str(ended)
        if error:
            self.end()
            raise OSError(error)

    def exchange(self, message: bytes, timeout: float) -> dict[str, Any]:
        """The answer has `error`, or `found`. Raises Ended; then `end` it."""
        until = time.monotonic() + timeout
        self._tell(message, until)
        return self._answer(until)

    def end(self) -> None:
        """At once. Idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def close(self) -> None:
        """Let it end by itself, if that is quick. Idempotent."""
        if self._process is not None:
            assert self._process.stdin is not None
            with suppress(OSError):
                self._process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_ENDS_WITHIN)
        self.end()

    def _tell(self, message: bytes, until: float) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        pipe, left = self._process.stdin.fileno(), [memoryview(_length(len(message))), memoryview(message)]
        while left:
            try:
                left = _without(left, os.writev(pipe, left))
            except BlockingIOError:
                _wait(pipe, select.POLLOUT, until)
            except OSError:
                raise Ended(self._how_it_ended()) from None

    def _answer(self, until: float) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        while b"\n" not in self._said:
            _wait(pipe, select.POLLIN, until)
            said = os.read(pipe, _READ_AT_ONCE)
            if not said:
                raise Ended(self._how_it_ended())
            self._said += said
            if len(self._said) > self._most:
                raise Ended("its process sent too large an answer")
        line, _, self._said = self._said.partition(b"\n")
        try:
            found = json.loads(line)
        except ValueError:
            found = None
        if not isinstance(found, dict) or not isinstance(found.get("error"), str):
            raise Ended("its process broke the protocol")
        return found

    def _how_it_ended(self) -> str:
        assert self._process is not None
        try:
            return f"its process ended with status {self._process.wait(_ENDS_WITHIN)}"
        except subprocess.TimeoutExpired:
            return "its process closed its pipes"


def _without(views: list[memoryview], written: int) -> list[memoryview]:
    """What is left to be written."""
    left = []
    for view in views:
        if written < len(view):
            left.append(view[written:])
        written = max(0, written - len(view))
    return left


def _wait(pipe: int, event: int, until: float) -> None:
    """Raises TooLong if it is not ready in time."""
    poll = select.poll()
    poll.register(pipe, event)
    left = until - time.monotonic()
    if left <= 0 or not poll.poll(left * 1000):
        raise TooLong("it took too long, so its process was ended")
