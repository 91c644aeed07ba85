"""Runs a server for the daemon: a separate process between the two, which reports when the server answers, and ends it
with all its child processes when the daemon ends, however that happens.

Owns: the server's process group.
Must never: import the daemon. Only small modules of the standard library are loaded, since one guard runs for each
server.

Arguments: HOST PORT PATH COMMAND ARGUMENT…; with PORT 0, HOST is the path of a UNIX socket. stdin closes when the
daemon ends; `ready` is the only line on stdout; what the server prints goes to stderr.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time

READY = "ready"
PATIENCE = 2.0  # s from SIGTERM to SIGKILL; the daemon kills this process after three
_TRY_EVERY = 0.1
_TRY_WITHIN = 1.0


def main(arguments: list[str]) -> int:
    host, port, path, *command = arguments
    signal.signal(signal.SIGTERM, _end)
    try:
        server = _started(command)
    except OSError as error:
        print(f"{command[0]}: {error.strerror or error}", file=sys.stderr, flush=True)
        return 127
    ended = os.pidfd_open(server)
    try:
        _watch(ended, host, int(port), path)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _stop(server, ended)
    return 0


def _started(command: list[str]) -> int:
    """The process id of the server, which leads a group of its own."""
    nothing = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    as_errors = (os.POSIX_SPAWN_DUP2, 2, 1)
    defaults = [signal.SIGTERM, signal.SIGINT, signal.SIGPIPE]
    return os.posix_spawnp(
        command[0], command, os.environ, file_actions=[nothing, as_errors], setpgroup=0, setsigdef=defaults
    )


def _watch(ended: int, host: str, port: int, path: str) -> None:
    """Return when the daemon or the server has ended."""
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(0, select.POLLIN | select.POLLHUP)
    ready = False
    while True:
        if not ready and _answers(host, port, path):
            ready = True
            print(READY, flush=True)
        for fd, _ in poll.poll(None if ready else _TRY_EVERY * 1000):
            if fd == ended or not os.read(0, 1024):
                return


def _answers(host: str, port: int, path: str) -> bool:
    """Whether the server answers with anything but a 5xx, which is how most say that they are still loading."""
    try:
        made = socket.socket(socket.AF_UNIX) if not port else socket.create_connection((host, port), _TRY_WITHIN)
        with made:
            made.settimeout(_TRY_WITHIN)
            if not port:
                made.connect(host)
            name = host if port else "localhost"
            made.sendall(f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
            status = made.recv(64).split(b" ")
            return len(status) > 1 and status[0].startswith(b"HTTP/") and status[1][:1] in b"234"
    except OSError:
        return False


def _stop(server: int, ended: int) -> None:
    """End the whole group, including programs that a script has started."""
    _signal(server, signal.SIGTERM)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    deadline = time.monotonic() + PATIENCE
    while not poll.poll(max(deadline - time.monotonic(), 0) * 1000) and time.monotonic() < deadline:
        pass
    _signal(server, signal.SIGKILL)
    _, status = os.waitpid(server, 0)
    code = os.waitstatus_to_exitcode(status)
    if code > 0:
        print(f"it ended with status {code}", file=sys.stderr, flush=True)


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _end(*_: object) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
