"""A peer that speaks ZMTP by itself, byte by byte, well or badly."""

from __future__ import annotations

import socket
from typing import Any

from tests.support.waiting import WAIT

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)


def command(name: bytes, data: bytes = b"") -> bytes:
    body = bytes((len(name),)) + name + data
    return bytes((4, len(body))) + body


def ready(kind: bytes = b"DEALER", identity: bytes = b"") -> bytes:
    def written(name: bytes, value: bytes) -> bytes:
        return bytes((len(name),)) + name + len(value).to_bytes(4) + value

    return command(b"READY", written(b"Socket-Type", kind) + written(b"Identity", identity))


def header(size: int, more: bool = False) -> bytes:
    return bytes((more, size)) if size < 256 else bytes((more | 2,)) + size.to_bytes(8)


def message(frames: list[bytes]) -> bytes:
    last = len(frames) - 1
    return b"".join(header(len(frame), place < last) + frame for place, frame in enumerate(frames))


class RawPeer:
    """Connected, and with `greet` also ready. path: or a socket that is connected. Waits have an end."""

    def __init__(self, path: Any, greet: bool = True, identity: bytes = b"") -> None:
        connected = isinstance(path, socket.socket)
        self.socket = path if connected else socket.socket(socket.AF_UNIX)
        self.socket.settimeout(WAIT)
        self._read = b""
        self._greeted = False  # by the other side
        if not connected:
            self.socket.connect(str(path).removeprefix("ipc://"))
        if greet:
            self.send(GREETING + ready(identity=identity))

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self) -> list[bytes]:
        """The frames of the next message."""
        frames: list[bytes] = []
        if not self._greeted:
            self._greeted = bool(self._take(len(GREETING)))
        while True:
            flags = self._take(1)[0]
            size = int.from_bytes(self._take(8 if flags & 2 else 1))
            frame = self._take(size)
            if not flags & 4:
                frames.append(frame)
                if not flags & 1:
                    return frames

    def _take(self, size: int) -> bytes:
        while len(self._read) < size:
            more = self.socket.recv(262144)
            assert more, "the other side closed the connection"
            self._read += more
        taken, self._read = self._read[:size], self._read[size:]
        return taken

    def ended(self) -> bool:
        """Whether the other side has closed the connection; reads what there is."""
        self.socket.setblocking(False)
        try:
            while self.socket.recv(65536):
                pass
            return True
        except BlockingIOError:
            return False
        except ConnectionError:
            return True
        finally:
            self.socket.settimeout(WAIT)

    def close(self) -> None:
        self.socket.close()
