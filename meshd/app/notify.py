"""Notifications to systemd over the socket of `sd_notify(3)`, without a C library.

Owns: the datagrams to `$NOTIFY_SOCKET` and the watchdog's interval.
Must never: raise, block, or decide when the daemon is ready or healthy. Without systemd, every method does nothing.
"""

from __future__ import annotations

import os
import socket
import time


class Notifier:
    """The connection to the service manager. Each method returns whether the message was sent."""

    def __init__(self, address: str | None = None) -> None:
        """address: used instead of `$NOTIFY_SOCKET`; a leading `@` means an abstract socket."""
        self._address = _address(address if address is not None else os.environ.get("NOTIFY_SOCKET", ""))

    @property
    def active(self) -> bool:
        """Whether a service manager listens."""
        return self._address is not None

    def ready(self, status: str = "") -> bool:
        """The boot, or a reload begun with `reloading`, is finished."""
        return self._send("READY=1", *_status(status))

    def reloading(self, status: str = "") -> bool:
        """A reload begins; `ready` must follow. The time lets systemd tell this reload from an earlier one."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        return self._send("RELOADING=1", f"MONOTONIC_USEC={now}", *_status(status))

    def stopping(self, status: str = "") -> bool:
        return self._send("STOPPING=1", *_status(status))

    def status(self, text: str) -> bool:
        """One line for `systemctl status`."""
        return self._send(*_status(text))

    def watchdog(self) -> bool:
        """The process is healthy. Call it at least once per `watchdog_interval`."""
        return self._send("WATCHDOG=1")

    def extend_timeout(self, seconds: float) -> bool:
        """Starting or stopping takes this much longer than systemd would wait."""
        return self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def _send(self, *fields: str) -> bool:
        if self._address is None or not fields:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.setblocking(False)
                line.connect(self._address)
                line.send("\n".join(fields).encode())
        except OSError:  # systemd does not listen; the daemon does not depend on it
            return False
        return True


def watchdog_interval() -> float | None:
    """Seconds within which systemd expects `watchdog`, or None if it does not watch this process. Call it at half of
    this."""
    try:
        microseconds = int(os.environ.get("WATCHDOG_USEC", ""))
        pid = int(os.environ.get("WATCHDOG_PID") or os.getpid())
    except ValueError:
        return None
    if microseconds <= 0 or pid != os.getpid():
        return None
    return microseconds / 1_000_000


def _address(text: str) -> str | None:
    if text.startswith("@") and len(text) > 1:
        return "\0" + text[1:]
    return text if text.startswith("/") else None


def _status(text: str) -> tuple[str, ...]:
    """A status is one line: text after a line break would be another field."""
    return (f"STATUS={' '.join(text.split())}",) if text else ()
