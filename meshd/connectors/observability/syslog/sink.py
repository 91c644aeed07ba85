"""`modelmesh.syslog.v1`: syslog (RFC 5424) over a UNIX socket, UDP (RFC 5426), TCP (RFC 6587) or TLS (RFC 5425).

Owns: the connection. Syslog confirms nothing: what the other side had not read when it died is lost.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

from meshd.connectors.observability.syslog.messages import FACILITIES, Header, framed, message
from meshd.sdk.observability import Entry, Sink

_PORTS = {"udp": 514, "tcp": 601, "tls": 6514}
_LONGEST = {"unix": 100_000, "udp": 60_000}
"""Bytes of a datagram, which cannot be split."""


class SyslogSink(Sink):
    """Settings: `address`, `facility`, `app_name`, `content`, `timeout`, `ca_file`."""

    quiet: ClassVar[bool] = False
    buffered: ClassVar[bool] = True

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Raises OSError."""
        self._address = str(settings.get("address") or "/dev/log")
        self._way = "unix" if self._address.startswith("/") else urlsplit(self._address).scheme
        self._header = Header(
            FACILITIES[str(settings.get("facility") or "daemon")],
            socket.gethostname(),
            str(settings.get("app_name") or "meshd"),
            os.getpid(),
        )
        self._as_json = settings.get("content", "json") == "json"
        self._timeout = float(settings.get("timeout") or 5.0)
        self._ca_file = settings.get("ca_file")
        self._messages: list[bytes] = []
        self._socket: socket.socket | None = None
        self._connect()

    @classmethod
    def file_name(cls, part: str, settings: Mapping[str, Any]) -> str:
        return ""

    def write(self, entry: Entry) -> None:
        longest = _LONGEST.get(self._way)
        self._messages.append(message(entry, self._header, as_json=self._as_json, longest=longest))

    def flush(self) -> None:
        if not self._messages:
            return
        if self._socket is None or self._has_ended():
            self._connect()
        assert self._socket is not None
        if self._way in _LONGEST:
            for data in self._messages:
                self._socket.send(data)
        elif self._way == "unix stream":  # as the C library and Python's SysLogHandler end them
            self._socket.sendall(b"".join(data + b"\0" for data in self._messages))
        else:
            self._socket.sendall(b"".join(map(framed, self._messages)))
        self._messages.clear()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _has_ended(self) -> bool:
        """Whether the other side has closed the connection: what is sent then disappears without an error."""
        if self._way in _LONGEST:
            return False
        assert self._socket is not None
        self._socket.setblocking(False)
        try:
            return not self._socket.recv(1024)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            # Raised by TLS where a plain socket would block.
            return type(error).__name__ != "SSLWantReadError"
        finally:
            self._socket.settimeout(self._timeout)

    def _connect(self) -> None:
        self.close()
        if self._address.startswith("/"):
            try:
                self._way, self._socket = "unix", _unix(self._address, socket.SOCK_DGRAM, self._timeout)
            except OSError as error:
                if error.errno != errno.EPROTOTYPE:
                    raise
                self._way, self._socket = "unix stream", _unix(self._address, socket.SOCK_STREAM, self._timeout)
            return
        parts = urlsplit(self._address)
        host, port = parts.hostname or "localhost", parts.port or _PORTS[self._way]
        if self._way == "udp":
            self._socket = _datagrams(host, port, self._timeout)
            return
        plain = socket.create_connection((host, port), self._timeout)
        self._socket = plain
        if self._way == "tls":
            from meshd.net.connections.tls import tls_context

            # Its handshake is bounded by the same timeout.
            self._socket = tls_context(self._ca_file).wrap_socket(plain, server_hostname=host)


def _unix(path: str, kind: socket.SocketKind, timeout: float) -> socket.socket:
    found = socket.socket(socket.AF_UNIX, kind | socket.SOCK_CLOEXEC)
    try:
        found.settimeout(timeout)
        found.connect(path)
    except OSError as error:
        found.close()
        raise OSError(error.errno, error.strerror or str(error), path) from None
    return found


def _datagrams(host: str, port: int, timeout: float) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    found = socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol)
    try:
        found.settimeout(timeout)
        found.connect(address)
    except OSError:
        found.close()
        raise
    return found
