"""How a connection of ZMTP begins: the greeting, the mechanism, and what each side says about itself.

Must never: hold anything of a connection.

Source: https://rfc.zeromq.org/spec/37/.
"""

from __future__ import annotations

from typing import Final, Protocol

LONG: Final = 0x02
COMMAND: Final = 0x04
"""Flags of a frame."""
LONG_FRAME: Final = 64 * 1024
"""Bytes of content that the loop seals or opens; with more, another thread does."""
_SIGNATURE: Final = b"\xff" + bytes(8) + b"\x7f"
NULL: Final = b"NULL".ljust(20, b"\0")
CURVE: Final = b"CURVE".ljust(20, b"\0")
GREETING: Final = _SIGNATURE + b"\x03\x01" + NULL + bytes(32)
CURVE_GREETING: Final = _SIGNATURE + b"\x03\x01" + CURVE + b"\x01" + bytes(31)  # as the server
METADATA: Final = b"\x0bSocket-Type\0\0\0\x06ROUTER\x08Identity\0\0\0\0"
"""What this side says about itself."""


class Violation(Exception):
    """A peer breaks the protocol or its bounds, and its connection has to be closed. The text is for the log."""


class Refused(Violation):
    """The same, but the peer is told: what was sent to it is delivered before its connection is closed."""


class Session(Protocol):
    """The mechanism CURVE on one connection (`curve.CurveSession`). ready: the handshake is over. metadata: what the
    peer says about itself, then."""

    ready: bool
    metadata: bytes

    def command(self, body: bytes) -> bytes:
        """A command of the handshake; returns the answer. Raises Violation, Refused if the key is not admitted."""

    def open(self, body: bytes | bytearray) -> tuple[int, bytes]:
        """The flags and the content of a MESSAGE. Raises Violation."""

    def seal(self, flags: int, content: bytes) -> bytes:
        """A MESSAGE."""


def check_greeting(data: bytes, mechanism: bytes) -> None:
    """Check the part that has arrived: a peer may send the rest only when it knows our version. Raises Violation."""
    if data[:1] != b"\xff" or (len(data) > 9 and data[9] != 0x7F):
        raise Violation("no ZMTP greeting")
    if len(data) > 10 and data[10] < 3:
        raise Violation(f"ZMTP {data[10]}, older than 3.0")
    if len(data) >= 32 and data[12:32] != mechanism:
        theirs, ours = data[12:32].rstrip(bytes(1)), mechanism.rstrip(bytes(1)).decode()
        raise Violation(f"the security mechanism {theirs!r} at an address of {ours}")
    if len(data) > 32 and data[32] and mechanism == CURVE:
        raise Violation("a server of CURVE, not a client")


def properties(data: bytes) -> dict[bytes, bytes]:
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


def framed(flags: int, body: bytes) -> bytes:
    return header(len(body), flags) + body


def header(size: int, flags: int = 0) -> bytes:
    """The header of a frame with that many bytes."""
    return bytes((flags, size)) if size < 256 else bytes((flags | LONG,)) + size.to_bytes(8)
