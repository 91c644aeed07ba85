"""`modelmesh.journal.v1`: systemd's journal, by its native protocol, with structured fields.

Owns: the datagram socket. Without a journal it writes lines to standard error.
Must never: need a C library; the protocol is one datagram per entry (a sealed memory file for a large one).
"""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from meshd.connectors.observability.console import ConsoleSink
from meshd.connectors.observability.priorities import priority_of
from meshd.sdk.observability import Entry, Sink

SOCKET = "/run/systemd/journal/socket"
_SEALS = 0x1 | 0x2 | 0x4 | 0x8  # F_SEAL_SEAL | SHRINK | GROW | WRITE, which Python 3.11 has no names for
_F_ADD_SEALS = 1033


class JournalSink(Sink):
    path: ClassVar[str] = SOCKET

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        self._socket: socket.socket | None = None
        self._console: ConsoleSink | None = None
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            sock.connect(self.path)
        except OSError:
            sock.close()
            self._console = ConsoleSink()
        else:
            sock.settimeout(1.0)
            self._socket = sock

    def write(self, entry: Entry) -> None:
        if self._socket is None:
            assert self._console is not None
            self._console.write(entry)
            return
        data = encode_entry(entry)
        try:
            self._socket.send(data)
        except OSError as error:
            if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                raise
            self._send_large(data)

    def flush(self) -> None:
        if self._console is not None:
            self._console.flush()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self._console = ConsoleSink()

    def _send_large(self, data: bytes) -> None:
        assert self._socket is not None
        fd = os.memfd_create("meshd-journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            fcntl.fcntl(fd, _F_ADD_SEALS, _SEALS)
            rights = array.array("i", [fd])
            self._socket.sendmsg([b""], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        finally:
            with contextlib.suppress(OSError):
                os.close(fd)


def encode_entry(entry: Entry) -> bytes:
    """An entry in the journal's native form: fields in capitals, those of the mesh begin with MESH_."""
    parts = [
        _field(b"MESSAGE", entry.message.encode(errors="replace")),
        b"PRIORITY=%d\n" % priority_of(entry),
        b"SYSLOG_IDENTIFIER=meshd\n",
        _field(b"MESH_STREAM", entry.stream.encode()),
    ]
    for name, value in entry.fields.items():
        if value is None or value == "":
            continue
        text = value.encode(errors="replace") if isinstance(value, str) else msgspec.json.encode(value)
        parts.append(_field(b"MESH_" + _name(name), text))
    return b"".join(parts)


def _name(name: str) -> bytes:
    return "".join(char if char.isascii() and char.isalnum() else "_" for char in name.upper()).encode()[:59]


def _field(name: bytes, value: bytes) -> bytes:
    if b"\n" in value:
        return name + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
    return name + b"=" + value + b"\n"
