"""ZeroMQ's wire protocol between a ROUTER and one of its peers: ZMTP 3.1 with the mechanism NULL or CURVE
(`curve.py`), without any I/O.

Owns: the conversion between bytes and multipart messages, within bounds.
Must never: hold more of a message than its bounds allow, or use what a peer says about itself (its `Identity`).

Source: https://rfc.zeromq.org/spec/37/. Peers of ZMTP 3.0 are served too; older ones are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from meshd.gateway.frontends.ipc.zmtp_handshake import (
    COMMAND,
    CURVE,
    CURVE_GREETING,
    GREETING,
    LONG,
    LONG_FRAME,
    METADATA,
    NULL,
    Refused,
    Session,
    Violation,
    check_greeting,
    framed,
    properties,
)

__all__ = ["GREETING", "Bounds", "Incoming", "Peer", "Refused", "Session", "Violation"]

_MORE: Final = 0x01
_RESERVED: Final = 0xF8
_READY: Final = framed(COMMAND, b"\x05READY" + METADATA)
_LONGEST_COMMAND: Final = 8192  # bytes; READY may carry properties that nothing here uses
_LONGEST_CONTEXT: Final = 16  # bytes of a PING's context, by the specification
_PEERS: Final = (b"DEALER", b"REQ", b"ROUTER")
"""Socket types that may speak to a ROUTER."""
_SEALED_MORE: Final = 0x01  # flags inside of a MESSAGE; libzmq sends PINGs in one, too
_SEALED_COMMAND: Final = 0x02
_SEAL: Final = 33  # bytes of a MESSAGE besides its content: name, nonce, authenticator, flags
_NOT_ADMITTED: Final = b"\x05ERROR\x03400"


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
    take: asked for room in bytes for a frame, before any of it is kept; False: there is none now. session: with CURVE;
    it makes the messages that leave (`CurveSession.message`).

    `next` reads what has arrived one message or command at a time, so that a peer with many small ones takes neither
    much memory nor much of the loop's time.

    opening: a long sealed frame, which is to be opened in another thread (`session.open`) and given to `opened`; until
    then, `next` finds nothing.

    ready: the handshake is over. delimited: REQ puts an empty frame in front of its messages, and expects one.
    pending: `next` may find something. waits: for room; no byte is looked at until `next`
    is called again. begun: a message has begun. held: bytes of room that an unfinished message takes.
    """

    __slots__ = (
        "_at",
        "_bounds",
        "_content",
        "_crowded",
        "_data",
        "_discarded",
        "_flags",
        "_frames",
        "_greeted",
        "_keeps",
        "_kept",
        "_limits",
        "_lost",
        "_missing",
        "_open",
        "_part",
        "_send",
        "_take",
        "delimited",
        "held",
        "opening",
        "pending",
        "ready",
        "session",
        "waits",
    )

    def __init__(
        self,
        bounds: Callable[[], Bounds],
        send: Callable[[bytes], None],
        take: Callable[[int], bool],
        session: Session | None = None,
    ) -> None:
        self.ready = False
        self.pending = False
        self.waits = False
        self.held = 0
        self._bounds = bounds
        self._send = send
        self._take = take
        self.session = session
        self.opening = bytearray()
        self._content: bytes | None = None  # of the frame that was opened elsewhere
        self._lost = False  # a sealed frame was not kept, so it is unknown where the next message begins
        self._greeted = False
        self.delimited = False
        self._data = b""  # what has arrived
        self._at = 0  # how much of it has been read
        self._open = False  # a frame's header has been read, and not all of the frame
        self._flags = 0  # of the current frame
        self._missing = 0  # bytes of it
        self._keeps = True  # whether its bytes are kept
        self._part = bytearray()  # of the frame's whole size, if they are kept
        self._limits = bounds()
        self._frames: list[bytes] = []
        self._kept = 0
        self._discarded = 0
        self._crowded = False  # whether frames of this message are dropped for lack of room
        send(GREETING if session is None else CURVE_GREETING)

    @property
    def begun(self) -> bool:
        return bool(self._open or self._frames or self._data)

    def encode(self, frames: Sequence[bytes]) -> bytes:
        """A multipart message of at least one frame, as bytes for this peer, without CURVE."""
        parts = [b"\x01\x00"] if self.delimited else []
        last = len(frames) - 1
        for place, frame in enumerate(frames):
            size = len(frame)
            more = place < last
            parts.append(bytes((more, size)) if size < 256 else bytes((more | LONG,)) + size.to_bytes(8))
            parts.append(frame)
        return b"".join(parts)

    def missing(self) -> memoryview | None:
        """Where the rest of the current frame may be read into directly; then call `filled`. None: use `receive`."""
        if self._open and self._keeps and not self._data:
            return memoryview(self._part)[len(self._part) - self._missing :]
        return None

    @property
    def discards(self) -> bool:
        """Whether the next frame is one that is not kept."""
        return self._open and not self._keeps

    def filled(self, size: int) -> None:
        """That many bytes were read into `missing`."""
        self._missing -= size
        self.pending = not self._missing

    def receive(self, data: bytes) -> None:
        """Bytes that have arrived, for `next`."""
        self._data = self._data[self._at :] + data if self._data else data
        self._at = 0
        self.pending = True

    def next(self) -> Incoming | None:
        """The next message; None if a command came, or more has to come (`pending` is False). Raises Violation."""
        data, at, end = self._data, self._at, len(self._data)
        if self.opening:
            self.pending = False
            return None
        if not self._greeted:
            check_greeting(data, NULL if self.session is None else CURVE)
            if end < len(GREETING):
                self.pending = False
                return None
            self._greeted = True
            if self.session is None:
                self._send(_READY)
            at = len(GREETING)
        while True:
            opened = self._content is not None
            if self._content is not None:
                body, self._content = self._content, None
            elif self._open:
                if self._missing and at < end:
                    taken = min(self._missing, end - at)
                    if self._keeps:
                        place = len(self._part) - self._missing
                        self._part[place : place + taken] = memoryview(data)[at : at + taken]
                    self._missing -= taken
                    at += taken
                if self._missing:
                    break
                part, self._part, self._open = self._part, bytearray(), False
                if self._opens_elsewhere(len(part)):
                    self._looked_at(data, at)
                    self.opening, self.pending = part, False
                    return None
                body = bytes(part)
            else:
                if at == end:
                    break
                flags = data[at]
                start = at + (9 if flags & LONG else 2)
                if end < start:
                    break
                size = int.from_bytes(data[at + 1 : start])
                if not self._begin(flags, size):
                    break
                at = start
                if end - at < size or self._opens_elsewhere(size):
                    self._open = True
                    self._missing = size
                    self._part = bytearray(size if self._keeps else 0)
                    continue
                at += size
                body = data[start:at] if self._keeps else b""
            if self.session is not None and self.ready and not opened:
                body = self._unsealed(self.session, body)
            if self._flags & COMMAND:
                self._looked_at(data, at)
                self._obey(body)
                return None
            if self._flags & _MORE:
                self._frames.append(body)
                continue
            first = 1 if self.delimited and self._frames and not self._frames[0] else 0
            found = Incoming([*self._frames[first:], body], self._discarded, self._crowded, self.held)
            self._frames.clear()
            self._kept = self._discarded = self.held = 0
            self._crowded = False
            self._looked_at(data, at)
            return found
        self._looked_at(data[at:], 0)
        self.pending = False
        return None

    def opened(self, flags: int, content: bytes) -> None:
        """What was in `opening`. Raises Violation."""
        self.opening = bytearray()
        self._content = self._checked(flags, content)
        self.pending = True

    def _looked_at(self, data: bytes, at: int) -> None:
        self.pending = at < len(data)
        self._data, self._at = (data, at) if self.pending else (b"", 0)

    def stop_waiting(self) -> None:
        """Drop the frame that waits for room, and the message's other frames."""
        self._crowded = self.waits

    def drop(self) -> None:
        """Drop everything that has arrived."""
        self._data, self._at, self._part, self._open = b"", 0, bytearray(), False
        self._frames.clear()
        self.opening, self._content = bytearray(), None
        self.held = 0
        self.pending = self.waits = False

    def _begin(self, flags: int, size: int) -> bool:
        """A frame begins; False if it waits for room. Raises Violation."""
        self._flags = flags
        self._keeps = True
        if flags & _RESERVED:
            raise Violation(f"a frame with the flags {flags:#04x}")
        if self.session is not None and self.ready:
            if self._lost:
                raise Refused("a message that could not be read to its end")
            if flags & _MORE or size < _SEAL:
                raise Violation(f"a sealed frame with the flags {flags:#04x} and {size} bytes")
            self._flags = flags = 0  # whether it is a command, and more follows, is inside
            size -= _SEAL
        if flags & COMMAND:
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

    def _opens_elsewhere(self, size: int) -> bool:
        """Of the current frame."""
        return self.session is not None and self.ready and self._keeps and size > LONG_FRAME + _SEAL

    def _unsealed(self, session: Session, body: bytes) -> bytes:
        """The content of a sealed frame. One that was not kept counts as the last of its message, and nothing more is
        read after it. Raises Violation."""
        if not self._keeps:
            self._lost = True
            return b""
        return self._checked(*session.open(body))

    def _checked(self, flags: int, content: bytes) -> bytes:
        """What was sealed, if its flags are right. Raises Violation."""
        if flags & _SEALED_COMMAND:
            if flags != _SEALED_COMMAND or len(content) > _LONGEST_COMMAND:
                raise Violation(f"a sealed command of {len(content)} bytes")
            self._flags = COMMAND
            self._kept -= len(content)
        elif flags & ~_SEALED_MORE:
            raise Violation(f"a MESSAGE with the flags {flags:#04x}")
        else:
            self._flags = _MORE if flags else 0
        return content

    def _shake_hands(self, session: Session, body: bytes) -> None:
        """A command of CURVE's handshake. Raises Violation."""
        try:
            answer = session.command(body)
        except Refused:
            self._send(framed(COMMAND, _NOT_ADMITTED))
            raise
        if session.ready:
            self._join(session.metadata)
        self._send(framed(COMMAND, answer))

    def _join(self, metadata: bytes) -> None:
        """The peer has said what it is. Raises Violation."""
        kind = properties(metadata).get(b"socket-type", b"")
        if kind not in _PEERS:
            raise Violation(f"a socket of the type {kind[:16]!r}")
        self.delimited = kind == b"REQ"
        self.ready = True

    def _obey(self, body: bytes) -> None:
        """A command. Those of other socket types are ignored. Raises Violation."""
        if self.session is not None and not self.ready:
            self._shake_hands(self.session, body)
            return
        length = body[0] if body else 0
        name, data = body[1 : 1 + length], body[1 + length :]
        if not self.ready:
            if name != b"READY":
                raise Violation(f"the command {name[:16]!r} before READY")
            self._join(data)
        elif name == b"PING":
            # Two bytes of time to live, which concern only the sender, and a context to return.
            pong = b"\x04PONG" + data[2 : 2 + _LONGEST_CONTEXT]
            if self.session is not None:
                self._send(framed(0, self.session.seal(_SEALED_COMMAND, pong)))
            else:
                self._send(framed(COMMAND, pong))
        elif name == b"ERROR":
            raise Violation("the peer reported an error")
