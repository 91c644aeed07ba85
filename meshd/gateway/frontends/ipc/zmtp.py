"""ZeroMQ's wire protocol between a ROUTER and one of its peers: ZMTP 3.1 with the NULL mechanism, without any I/O.

Owns: the greeting, the handshake, and the conversion between bytes and multipart messages, within bounds.
Must never: hold more of a message than its bounds allow, or use what a peer says about itself (its `Identity`).

Source: https://rfc.zeromq.org/spec/37/. Peers of ZMTP 3.0 are served too; older ones are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

_MORE: Final = 0x01
_LONG: Final = 0x02
_COMMAND: Final = 0x04
_RESERVED: Final = 0xF8

_SIGNATURE: Final = b"\xff" + bytes(8) + b"\x7f"
_MECHANISM: Final = b"NULL".ljust(20, b"\0")
GREETING: Final = _SIGNATURE + b"\x03\x01" + _MECHANISM + bytes(32)
_LONGEST_COMMAND: Final = 8192  # bytes; READY may carry properties that nothing here uses
_LONGEST_CONTEXT: Final = 16  # bytes of a PING's context, by the specification
_PEERS: Final = (b"DEALER", b"REQ", b"ROUTER")
"""Socket types that may speak to a ROUTER."""


class Violation(Exception):
    """A peer breaks the protocol or its bounds, and its connection has to be closed. The text is for the log."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of one message. heads: frames in front of the body; head: bytes of each of these; message: bytes kept of
    all frames; discarded: bytes that are read beyond that, so that the peer can be told; frames: how many; free: bytes
    that need no room."""

    message: int
    discarded: int
    head: int = 65536
    heads: int = 3
    frames: int = 64
    free: int = 16384


@dataclass(slots=True)
class Incoming:
    """A multipart message. discarded: bytes of frames that were not kept, each of which is empty here. crowded: one of
    them was not kept because there was no room. held: bytes of room that it takes, which its receiver gives back."""

    frames: list[bytes]
    discarded: int = 0
    crowded: bool = False
    held: int = 0


class Peer:
    """One peer's side of a connection. send: called with what has to leave at once. bounds: asked at each message.
    take: asked for room in bytes for a frame, before any of it is kept; False: there is none now.

    What has come is looked at one message or command at a time, by `next`, so that a peer with many small ones takes
    neither much memory nor the loop.

    ready: the handshake is over. pending: `next` may find something. waits: for room; no byte is looked at until `next`
    is called again. begun: a message has begun. held: bytes of room that an unfinished message takes.
    """

    __slots__ = (
        "_at",
        "_bounds",
        "_crowded",
        "_data",
        "_delimited",
        "_discarded",
        "_flags",
        "_frames",
        "_greeted",
        "_keeps",
        "_kept",
        "_limits",
        "_missing",
        "_open",
        "_part",
        "_send",
        "_take",
        "held",
        "pending",
        "ready",
        "waits",
    )

    def __init__(
        self, bounds: Callable[[], Bounds], send: Callable[[bytes], None], take: Callable[[int], bool]
    ) -> None:
        self.ready = False
        self.pending = False
        self.waits = False
        self.held = 0
        self._bounds = bounds
        self._send = send
        self._take = take
        self._greeted = False
        self._delimited = False  # REQ puts an empty frame in front of its messages, and expects one
        self._data = b""  # what has come
        self._at = 0  # what of it has been looked at
        self._open = False  # a frame's header has been read, and not all of the frame
        self._flags = 0  # of the current frame
        self._missing = 0  # bytes of it
        self._keeps = True  # whether its bytes are kept
        self._part = bytearray()  # of its whole size, if they are
        self._limits = bounds()
        self._frames: list[bytes] = []
        self._kept = 0
        self._discarded = 0
        self._crowded = False  # whether frames of this message are not kept for want of room
        send(GREETING)

    @property
    def begun(self) -> bool:
        return bool(self._open or self._frames or self._data)

    def encode(self, frames: Sequence[bytes]) -> bytes:
        """A multipart message of at least one frame, as bytes for this peer."""
        parts = [b"\x01\x00"] if self._delimited else []
        last = len(frames) - 1
        for place, frame in enumerate(frames):
            size = len(frame)
            more = place < last
            parts.append(bytes((more, size)) if size < 256 else bytes((more | _LONG,)) + size.to_bytes(8))
            parts.append(frame)
        return b"".join(parts)

    def missing(self) -> memoryview | None:
        """Where the rest of the current frame may be read into directly; then call `filled`. None: use `receive`."""
        if self._open and self._keeps and not self._data:
            return memoryview(self._part)[len(self._part) - self._missing :]
        return None

    @property
    def discards(self) -> bool:
        """Whether what comes next is a frame that is not kept."""
        return self._open and not self._keeps

    def filled(self, size: int) -> None:
        """So many bytes were read into `missing`."""
        self._missing -= size
        self.pending = not self._missing

    def receive(self, data: bytes) -> None:
        """Bytes that have come, for `next`."""
        self._data = self._data[self._at :] + data if self._data else data
        self._at = 0
        self.pending = True

    def next(self) -> Incoming | None:
        """The next message; None if a command came, or more has to come (`pending` is False). Raises Violation."""
        data, at, end = self._data, self._at, len(self._data)
        if not self._greeted:
            _check_greeting(data)
            if end < len(GREETING):
                self.pending = False
                return None
            self._greeted = True
            self._send(_READY)
            at = len(GREETING)
        while True:
            if self._open:
                if self._missing and at < end:
                    taken = min(self._missing, end - at)
                    if self._keeps:
                        place = len(self._part) - self._missing
                        self._part[place : place + taken] = memoryview(data)[at : at + taken]
                    self._missing -= taken
                    at += taken
                if self._missing:
                    break
                body, self._part = bytes(self._part), bytearray()
                self._open = False
            else:
                if at == end:
                    break
                flags = data[at]
                start = at + (9 if flags & _LONG else 2)
                if end < start:
                    break
                size = int.from_bytes(data[at + 1 : start])
                if not self._begin(flags, size):
                    break
                at = start
                if end - at < size:
                    self._open = True
                    self._missing = size
                    self._part = bytearray(size if self._keeps else 0)
                    continue
                at += size
                body = data[start:at] if self._keeps else b""
            if self._flags & _COMMAND:
                self._looked_at(data, at)
                self._obey(body)
                return None
            if self._flags & _MORE:
                self._frames.append(body)
                continue
            first = 1 if self._delimited and self._frames and not self._frames[0] else 0
            found = Incoming([*self._frames[first:], body], self._discarded, self._crowded, self.held)
            self._frames.clear()
            self._kept = self._discarded = self.held = 0
            self._crowded = False
            self._looked_at(data, at)
            return found
        self._looked_at(data[at:], 0)
        self.pending = False
        return None

    def _looked_at(self, data: bytes, at: int) -> None:
        self.pending = at < len(data)
        self._data, self._at = (data, at) if self.pending else (b"", 0)

    def stop_waiting(self) -> None:
        """The frame that waits for room is not kept, and neither are this message's others."""
        self._crowded = self.waits

    def drop(self) -> None:
        """Hold nothing of what has come."""
        self._data, self._at, self._part, self._open = b"", 0, bytearray(), False
        self._frames.clear()
        self.held = 0
        self.pending = self.waits = False

    def _begin(self, flags: int, size: int) -> bool:
        """A frame begins; False if it waits for room. Raises Violation."""
        self._flags = flags
        self._keeps = True
        if flags & _RESERVED:
            raise Violation(f"a frame with the flags {flags:#04x}")
        if flags & _COMMAND:
            if size > _LONGEST_COMMAND or flags & _MORE:
                raise Violation(f"a command of {size} bytes")
            return True
        if not self.ready:
            raise Violation("a message before READY")
        place = len(self._frames)
        if not place:
            self._limits = self._bounds()
        limits = self._limits
        if place >= limits.frames:
            raise Violation(f"a message of more than {limits.frames} frames")
        too_large = self._kept + size > limits.message or (place < limits.heads and size > limits.head)
        if not too_large and not self._crowded:
            wanted = self._kept + size - limits.free - self.held
            self.waits = wanted > 0 and not self._take(wanted)
            if self.waits:
                return False
            self.held += max(wanted, 0)
        if too_large or self._crowded:
            self.waits = False
            self._keeps = False
            self._discarded += size
            if self._discarded > limits.discarded:
                raise Violation(f"a message of more than {self._kept + self._discarded} bytes")
        else:
            self._kept += size
        return True

    def _obey(self, body: bytes) -> None:
        """A command. Those of other socket types are ignored. Raises Violation."""
        length = body[0] if body else 0
        name, data = body[1 : 1 + length], body[1 + length :]
        if not self.ready:
            if name != b"READY":
                raise Violation(f"the command {name[:16]!r} before READY")
            kind = _properties(data).get(b"socket-type", b"")
            if kind not in _PEERS:
                raise Violation(f"a socket of the type {kind[:16]!r}")
            self._delimited = kind == b"REQ"
            self.ready = True
        elif name == b"PING":
            # Two bytes of a time to live, which concerns who asks, and a context to be returned.
            self._send(_command(b"PONG", data[2 : 2 + _LONGEST_CONTEXT]))
        elif name == b"ERROR":
            raise Violation("the peer reported an error")


def _check_greeting(data: bytes) -> None:
    """As far as it has come: a peer may send the rest only when it knows our version. Raises Violation."""
    if data[:1] != b"\xff" or (len(data) > 9 and data[9] != 0x7F):
        raise Violation("no ZMTP greeting")
    if len(data) > 10 and data[10] < 3:
        raise Violation(f"ZMTP {data[10]}, older than 3.0")
    if len(data) >= 32 and data[12:32] != _MECHANISM:
        raise Violation(f"the security mechanism {data[12:32].rstrip(bytes(1))!r}; only NULL is supported")


def _properties(data: bytes) -> dict[bytes, bytes]:
    """The properties of READY, their names in lower case. Raises Violation."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        name = data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]
        value_at = at + 4
        at = value_at + int.from_bytes(data[at:value_at])
        if not name or at > len(data) or value_at > len(data):
            raise Violation("READY with broken properties")
        found[name.lower()] = data[value_at:at]
    return found


def _command(name: bytes, data: bytes) -> bytes:
    body = bytes((len(name),)) + name + data
    return bytes((_COMMAND, len(body))) + body


_READY: Final = _command(b"READY", b"\x0bSocket-Type\0\0\0\x06ROUTER\x08Identity\0\0\0\0")
