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
    """Connected, and with `greet` also ready. blocking: with a time limit."""

    def __init__(self, path: Any, greet: bool = True, identity: bytes = b"") -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(WAIT)
        self.socket.connect(str(path).removeprefix("ipc://"))
        if greet:
            self.send(GREETING + ready(identity=identity))

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

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
