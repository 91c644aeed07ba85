"""A link over a UNIX socket, which speaks ZMTP itself: libzmq would pass each message through a thread of its own, and
every wake-up of a thread delays an answer.

Owns: the socket, and framing. Source: https://rfc.zeromq.org/spec/37/.
Must never: block, or hold more of a message than has come.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections import deque
from itertools import islice
from typing import Final

from modelmesh._connection.links.link import Link

_MORE: Final = 1
_LONG: Final = 2
_COMMAND: Final = 4
_GREETING: Final = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
_NULL: Final = _GREETING[12:32]
_READY: Final = b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06DEALER"
_PING: Final = b"\x04PING"
_PONG: Final = b"\x04PONG"
_TTL: Final = 2  # bytes of a PING between its name and its context
_LONGEST_CONTEXT: Final = 16
_ROUTER: Final = b"\x0bSocket-Type\0\0\0\x06ROUTER"
_MOST_PONGS: Final = 64  # that wait to be sent
_HANDSHAKE_SECONDS: Final = 30.0
_LONGEST_FRAME: Final = 1 << 32  # bytes
_MOST_READS: Final = 256
"""Of one call, after which its owner looks at its deadlines."""
_PIECE: Final = 65536
"""Bytes of one read; a longer frame is not copied before it is sent."""
_BUFFERS: Final = 64  # of one write


class UnixLink(Link):
    __slots__ = (
        "_drained",
        "_frames",
        "_greeted",
        "_messages",
        "_midway",
        "_needed",
        "_out",
        "_received",
        "_socket",
        "_waiting",
    )

    def __init__(self, path: str) -> None:
        """Raises OSError for a path that cannot exist. If no daemon accepts, the link has `failed`."""
        super().__init__()
        self._received = bytearray()
        self._needed = 0  # bytes of `_received` until the next frame is whole
        self._greeted = False
        self._midway = False  # between a read or write and its end, in which it is unknown what came or was sent
        self._drained = False  # the last read took all that had come
        self._frames: list[bytes] = []
        self._messages: deque[list[bytes]] = deque()
        self._waiting: list[list[bytes]] = []  # messages for after the handshake
        self._out: deque[memoryview] = deque()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self.fd = self._socket.fileno()
        try:
            self._socket.connect(path)
        except (ConnectionError, FileNotFoundError, PermissionError, BlockingIOError):
            self.failed = True  # none listens, or too many others wait
        except BaseException:
            self._socket.close()
            raise
        else:
            self._write(_GREETING + _READY)

    @property
    def unsent(self) -> bool:
        return bool(self._out)

    def send(self, frames: list[bytes]) -> None:
        if not self.connected:
            self._waiting.append(frames)
            return
        try:
            self._send(frames)
        except BaseException:  # of a signal handler: a part of it may have been sent
            self.failed = True
            raise

    def receive(self) -> list[bytes] | None:
        try:
            return self._receive()
        except BaseException:  # of a signal handler
            self.failed = self.failed or self._midway
            raise

    def observe(self) -> None:
        if not self.connected and not self.closed and time.monotonic() - self.last_heard > _HANDSHAKE_SECONDS:
            self.failed = True

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # for the daemon it ends, even if a forked process has it, too
            self._socket.close()

    # Out

    def _send(self, frames: list[bytes]) -> None:
        pieces = []
        last = len(frames) - 1
        for index, frame in enumerate(frames):
            size = len(frame)
            more = _MORE if index < last else 0
            pieces.append(bytes((more, size)) if size < 256 else bytes((more | _LONG,)) + size.to_bytes(8, "big"))
            if size > _PIECE:
                self._out += (memoryview(b"".join(pieces)), memoryview(frame))
                pieces.clear()
            else:
                pieces.append(frame)
        self._write(b"".join(pieces))

    def _write(self, data: bytes) -> None:
        self._out.append(memoryview(data))
        self._flush()

    def _flush(self) -> None:
        """Write what the socket takes."""
        out = self._out
        while out and not self.failed:
            try:
                sent = self._socket.sendmsg(list(islice(out, _BUFFERS)), (), socket.MSG_NOSIGNAL)
            except BlockingIOError:
                break
            except OSError as error:
                self._broke(error)
                break
            while out and sent >= len(out[0]):
                sent -= len(out.popleft())
            if sent:
                out[0] = out[0][sent:]

    def _broke(self, error: OSError) -> None:
        """A peer that is gone is noticed when all that it sent has been read."""
        self._out.clear()
        self.failed = not isinstance(error, (BrokenPipeError, ConnectionResetError))

    # In

    def _receive(self) -> list[bytes] | None:
        if self._out:
            self._midway = True
            self._flush()
            self._midway = False
        self.handed = False
        messages = self._messages
        reads = 0
        while not messages:
            if self.failed or self._drained or reads == _MOST_READS:
                self._drained = False
                return None
            reads += 1
            self._midway = True
            try:
                data = self._socket.recv(_PIECE)
            except BlockingIOError:
                self._midway = False
                return None
            except OSError:
                self.failed = True
                return None
            if not data:
                self.failed = True
                return None
            self._drained = len(data) < _PIECE
            self._take(data)
            self._midway = False
        self.handed = True
        return messages.popleft()

    def _take(self, data: bytes) -> None:
        received = self._received
        if received or not self._greeted:
            received += data
            if len(received) < self._needed:
                return
            taken = self._parse(received)
            del received[:taken]
        else:
            taken = self._parse(data)
            if taken < len(data):
                received += data[taken:]

    def _parse(self, data: bytes | bytearray) -> int:
        """Take the whole frames; returns their bytes."""
        at, size = 0, len(data)
        if not self._greeted:
            if data[0] != 0xFF or (size > 10 and data[10] < 3) or (size >= 32 and data[12:32] != _NULL):
                self.failed = True
                return size
            if size < len(_GREETING):
                return 0
            self._greeted = True
            at = len(_GREETING)
        self._needed = 0
        while size - at >= 2:
            flags = data[at]
            if flags & _LONG:
                if size - at < 9:
                    break
                begin = at + 9
                end = begin + int.from_bytes(data[at + 1 : begin], "big")
            else:
                begin = at + 2
                end = begin + data[at + 1]
            if end > size:
                self._needed = end - at
                self.failed = self.failed or self._needed > _LONGEST_FRAME
                break
            with memoryview(data) as view:
                frame = bytes(view[begin:end])
            at = end
            if flags & _COMMAND:
                self._command(frame)
            elif not self.connected:
                self.failed = True
                return size
            else:
                self._frames.append(frame)
                if not flags & _MORE:
                    self._messages.append(self._frames)
                    self._frames = []
        return at

    def _command(self, body: bytes) -> None:
        if body.startswith(b"\x05READY") and not self.connected:
            self.connected = _ROUTER in body
            self.failed = not self.connected
            waiting, self._waiting = self._waiting, []
            for frames in waiting:
                self.send(frames)
        elif body.startswith(_PING) and len(self._out) < _MOST_PONGS:
            answer = _PONG + body[len(_PING) + _TTL :][:_LONGEST_CONTEXT]
            self._write(bytes((_COMMAND, len(answer))) + answer)
        elif body.startswith(b"\x05ERROR"):
            self.failed = True
