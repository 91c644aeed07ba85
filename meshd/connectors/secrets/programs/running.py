"""Runs a program that prints a secret.

Owns: its environment, how much it may print, and when it is ended. Must never: give it the daemon's keys, show what it
printed or was given, or put a secret into its arguments.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from meshd.connectors.secrets.files import MOST_BYTES
from meshd.connectors.secrets.said import said
from meshd.sdk.secrets import SecretStoreError, SecretStoreUnreachable

PATIENCE = 10.0  # s, unless the settings say otherwise
_MOST_SAID = 4096  # bytes
_PASSED_ON = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|VIRTUAL_ENV|LD_LIBRARY_PATH|XDG_\w+"
    r"|DBUS_SESSION_BUS_ADDRESS|WAYLAND_DISPLAY|DISPLAY|SSL_CERT_\w+|(?:https?|all|no)_proxy",
    re.IGNORECASE,
)


def run(
    command: Sequence[str],
    *,
    timeout: float = PATIENCE,
    stdin: str = "",
    passed_on: Collection[str] = (),
    more: Mapping[str, str] | None = None,
) -> str:
    """What the program prints. passed_on: variables of this process that it needs, besides the usual ones; one may end
    in `*`. more: additional variables. Raises SecretStoreError."""
    try:
        given = stdin.encode()
    except UnicodeEncodeError:
        raise SecretStoreError(f"{command[0]} cannot get this value: it is not UTF-8 text") from None
    environ = {name: value for name, value in os.environ.items() if _is_passed_on(name, passed_on)} | dict(more or {})
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environ,
                start_new_session=True,  # a timeout ends its children too
            )
        except (OSError, ValueError) as error:
            raise SecretStoreError(f"{command[0]} cannot be run: {getattr(error, 'strerror', None) or error}") from None
        late = threading.Event()

        def end_late() -> None:
            late.set()
            _end(process)

        timer = threading.Timer(timeout, end_late)
        timer.daemon = True
        timer.start()
        try:
            printed = _exchange(process, given)
        finally:
            timer.cancel()
            _end(process)
            process.wait()
        if late.is_set():
            raise SecretStoreUnreachable(f"{command[0]} did not end within {timeout:g} s")
        if len(printed) > MOST_BYTES:
            raise SecretStoreError(f"{command[0]} printed more than 1 MiB: that is not a secret")
        if process.returncode:
            errors.seek(0)
            secret = printed[:_MOST_SAID].decode(errors="replace")
            words = said(errors.read(_MOST_SAID).decode(errors="replace"), (stdin, secret, *secret.splitlines()))
            raise SecretStoreError(f"{command[0]} ended with status {process.returncode}{words and f': {words}'}")
    try:
        return printed.decode()
    except UnicodeDecodeError:
        raise SecretStoreError(f"{command[0]} printed something that is not UTF-8 text") from None


def _is_passed_on(name: str, more: Collection[str]) -> bool:
    return bool(_PASSED_ON.fullmatch(name)) or any(
        name.startswith(each[:-1]) if each.endswith("*") else name == each for each in more
    )


def _exchange(process: subprocess.Popen[bytes], given: bytes) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdout:
        with suppress(BrokenPipeError), process.stdin as pipe:  # broken if it does not read it
            pipe.write(given)
        printed = process.stdout.read(MOST_BYTES + 1)
    if len(printed) <= MOST_BYTES:
        process.wait()
    return printed


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program and its children, if it still runs."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
