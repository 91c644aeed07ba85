"""`modelmesh.callback.v1`: a function of Python, called with each entry.

Owns: the process that the function runs in. A function that hangs is ended with its process, and one that ends its
process is tried again in a new one. Must never: run the function in the daemon, or give it the daemon's keys.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar

from meshd.connectors.observability.lines import as_json
from meshd.connectors.providers.embedded.process import child_environment
from meshd.host.plain_text import one_line
from meshd.sdk.observability import Entry, Sink

_STARTS_WITHIN = 30.0  # s
_ENDS_WITHIN = 0.5  # s
_MOST_SAID = 64 * 1024  # bytes of an answer


class _Ended(Exception):
    """The process ended."""


class _TooLong(_Ended):
    """The function took too long, so that its process has to be ended."""


class CallbackSink(Sink):
    """Settings: `function`, `timeout`, `restarts`, `environment`."""

    quiet: ClassVar[bool] = False

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._function = str(settings["function"])
        self._timeout = float(settings.get("timeout") or 5.0)
        self._tries = 1 + int(settings.get("restarts", 1))
        self._passed_on = frozenset(settings.get("environment") or ())
        self._process: subprocess.Popen[bytes] | None = None
        self._said = b""
        self._dropped = 0
        self._error = ""

    def write(self, entry: Entry) -> None:
        """Raises OSError if there is no process that has the function."""
        line = as_json(entry) + b"\n"
        for _ in range(self._tries):
            self._start()
            try:
                error = self._exchange(line, self._timeout)
            except _Ended as ended:
                self._error = f"{self._function}: {ended}"
                self._end()
                if isinstance(ended, _TooLong):  # it would hang again
                    break
                continue
            self._error = f"{self._function} failed: {error}" if error else ""
            self._dropped += bool(error)
            return
        self._dropped += 1

    def status(self) -> Mapping[str, Any]:
        return {"dropped": self._dropped, "error": self._error}

    def close(self) -> None:
        process = self._process
        if process is not None:
            assert process.stdin is not None
            with suppress(OSError):
                process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_ENDS_WITHIN)
        self._end()

    # -- the process ----------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._process is not None:
            return
        own = {name: value for name, value in os.environ.items() if name in self._passed_on}
        self._said = b""
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "meshd.connectors.observability.callback.child", self._function],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=child_environment(os.environ) | own,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)
        try:
            error = self._answer(time.monotonic() + _STARTS_WITHIN)
        except _Ended as ended:
            error = str(ended)
        if error:
            self._end()
            raise OSError(f"{self._function} cannot be called: {error}")

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _exchange(self, line: bytes, timeout: float) -> str:
        """The function's error, "" if there was none. Raises _Ended."""
        assert self._process is not None
        assert self._process.stdin is not None
        until = time.monotonic() + timeout
        pipe, view = self._process.stdin.fileno(), memoryview(line)
        while view:
            _wait(pipe, select.POLLOUT, until)
            try:
                view = view[os.write(pipe, view) :]
            except BlockingIOError:
                continue
            except OSError:
                raise _Ended(self._how_it_ended()) from None
        return self._answer(until)

    def _answer(self, until: float) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        while b"\n" not in self._said:
            _wait(pipe, select.POLLIN, until)
            said = os.read(pipe, _MOST_SAID)
            if not said or len(self._said) > _MOST_SAID:
                raise _Ended(self._how_it_ended())
            self._said += said
        line, _, self._said = self._said.partition(b"\n")
        try:
            return one_line(str(json.loads(line)["error"]))
        except (ValueError, KeyError, TypeError):
            raise _Ended("its process broke the protocol") from None

    def _how_it_ended(self) -> str:
        assert self._process is not None
        try:
            return f"its process ended with status {self._process.wait(_ENDS_WITHIN)}"
        except subprocess.TimeoutExpired:
            return "its process closed its pipes"


def _wait(pipe: int, event: int, until: float) -> None:
    """Raises _TooLong if it is not ready in time."""
    poll = select.poll()
    poll.register(pipe, event)
    left = until - time.monotonic()
    if left <= 0 or not poll.poll(left * 1000):
        raise _TooLong("it took too long, so its process was ended")
