"""Who holds a socket at which no daemon answers: one that is stopped or stuck, or systemd for one that does not run.

Must never: wait for the daemon.
"""

from __future__ import annotations

import socket

import msgspec

from meshd.cli.programs import output_of
from meshd.host.process import processes


class Holder(msgspec.Struct, frozen=True):
    """says: in half a sentence. advice: what to do, one line each. runs: whether a daemon is there."""

    says: str
    advice: list[str]
    runs: bool = True


def held_by(path: str) -> Holder | None:
    """None if nothing listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.setblocking(False)
        try:
            line.connect(path)
            pid, _, _ = processes.peer_credentials(line)
        except BlockingIOError:  # the queue of connections is full
            return _stuck(0)
        except OSError:
            return None
    # A daemon serves a socket of systemd as it gets it, so the socket names systemd as its holder in any case.
    return _of_service(pid) if processes.name(pid) == "systemd" else _stuck(pid)


def _stuck(pid: int, restart: str = "") -> Holder:
    """pid: 0 if it is unknown, as in another container."""
    number = str(pid) if pid else "PID"
    stuck = f"restart it: {restart}" if restart else f"end it and start it again: kill -KILL {number}"
    advice = [f"if it is stopped, continue it: kill -CONT {number}", f"if it is stuck, {stuck}"]
    return Holder(f"{f'process {pid}' if pid else 'its process'} is stopped, or stuck", advice)


def _of_service(manager: int) -> Holder:
    """manager: systemd's process: 1, or that of a user."""
    option, sudo = ([], "sudo ") if manager == 1 else (["--user"], "")
    said = output_of("systemctl", *option, "show", "--property=ActiveState,MainPID", "meshd.service")
    found = dict(row.partition("=")[::2] for row in said.splitlines())
    if found.get("ActiveState") == "active":
        return _stuck(int(found.get("MainPID", 0)), " ".join([f"{sudo}systemctl", *option, "restart meshd"]))
    advice = [
        " ".join(["see why:", f"{sudo}journalctl", *option, "-u meshd -e"]),
        "once that is corrected, it starts within seconds while a client waits",
    ]
    return Holder("systemd holds the socket, and the service does not run", advice, runs=False)
