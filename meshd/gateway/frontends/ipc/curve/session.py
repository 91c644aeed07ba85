"""CurveZMQ, the server's side of it, without any I/O: identifying a peer by its key, and encrypted messages.

Owns: the daemon's key pair and, of one connection, its handshake, its session key and the numbers of its messages.
Must never: keep more of a peer than one key before it has shown its own, or decide which keys are admitted.

Sources: https://rfc.zeromq.org/spec/26/ (CurveZMQ), https://rfc.zeromq.org/spec/25/ (in ZMTP).

Until a valid INITIATE, all that is kept of a peer is the key of its cookie: the pair that the daemon made for the
connection comes back in the cookie. Each connection has a cookie key of its own, so the cookie of another connection,
and with it a recorded session, cannot be replayed.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from nacl.bindings import (
    crypto_box_beforenm,
    crypto_box_easy_afternm,
    crypto_box_keypair,
    crypto_box_open_easy_afternm,
    crypto_scalarmult_base,
    crypto_secretbox_easy,
    crypto_secretbox_open_easy,
)
from nacl.exceptions import CryptoError

from meshd.gateway.frontends.ipc.zmtp_handshake import LONG_FRAME, METADATA, Violation, framed, header

_HELLO: Final = b"\x05HELLO\x01\x00"
_WELCOME: Final = b"\x07WELCOME"
_INITIATE: Final = b"\x08INITIATE"
_READY: Final = b"\x05READY"
_MESSAGE: Final = b"\x07MESSAGE"
_LENGTH_OF_HELLO: Final = 200
_SHORTEST_INITIATE: Final = 257
_MORE: Final = 0x01
_BEFORE_BOX: Final = 16  # bytes of a MESSAGE: its name and its number


class DaemonKey:
    """The daemon's key pair. secret: 32 bytes."""

    def __init__(self, secret: bytes) -> None:
        self.secret = secret
        self.public: bytes = crypto_scalarmult_base(secret)

    def __repr__(self) -> str:
        return "DaemonKey(•••)"


@dataclass(slots=True)
class LongFrame:
    """A frame that has its number but still has to be sealed."""

    _session: bytes
    _number: bytes
    _flags: int
    _content: bytes

    def __len__(self) -> int:
        """Of its content, in bytes."""
        return len(self._content)

    def sealed(self) -> list[bytes]:
        """On the wire, in parts. In any thread."""
        box = _box(self._session, self._number, self._flags, self._content)
        return [header(_BEFORE_BOX + len(box)) + _MESSAGE + self._number, box]


class CurveSession:
    """One connection. admits: called once with the peer's public key, after the peer has proved that it has the secret
    one; raises Refused.

    ready: the handshake is over. metadata: the peer's properties, then.
    """

    __slots__ = ("_admits", "_cookie_key", "_heard", "_key", "_said", "_session", "metadata", "ready")

    def __init__(self, key: DaemonKey, admits: Callable[[bytes], None]) -> None:
        self.ready = False
        self.metadata = b""
        self._key = key
        self._admits = admits
        self._cookie_key = b""
        self._heard = -1  # the number of the last command received
        self._said = 0  # that of the last one sealed
        self._session = b""  # the key of messages

    def command(self, body: bytes) -> bytes:
        """A command of the handshake; returns the answer. Raises Violation."""
        try:
            return self._initiate(body) if self._cookie_key else self._hello(body)
        except CryptoError:  # PyNaCl's, also for a key of small order
            raise Violation("a handshake box that cannot be opened: the client may have another server key") from None

    def open(self, body: bytes | bytearray) -> tuple[int, bytes]:
        """The flags and the content of a MESSAGE. In any thread, one after the other. Raises Violation."""
        if not body.startswith(_MESSAGE):
            raise Violation("something other than a MESSAGE after the handshake")
        number = self._number(body[8:_BEFORE_BOX])
        box = body[_BEFORE_BOX:] if isinstance(body, bytes) else bytes(memoryview(body)[_BEFORE_BOX:])
        try:
            plain = crypto_box_open_easy_afternm(box, b"CurveZMQMESSAGEC" + number, self._session)
        except CryptoError:
            raise Violation("a message that cannot be opened") from None
        if not plain:
            raise Violation("a message without flags")
        return plain[0], plain[1:]

    def seal(self, flags: int, content: bytes) -> bytes:
        """A MESSAGE."""
        number = self._next()
        return _MESSAGE + number + _box(self._session, number, flags, content)

    def message(self, frames: Sequence[bytes], *, delimited: bool) -> list[bytes | LongFrame]:
        """A multipart message on the wire, as libzmq sends it: each frame is a MESSAGE, without flags outside. Long
        frames get their numbers here, which fix their places. delimited: with an empty frame in front."""
        last = len(frames) - 1
        parts: list[bytes | LongFrame] = [framed(0, self.seal(_MORE, b""))] if delimited else []
        for place, frame in enumerate(frames):
            flags = _MORE if place < last else 0
            if len(frame) > LONG_FRAME:
                parts.append(LongFrame(self._session, self._next(), flags, frame))
            else:
                parts.append(framed(0, self.seal(flags, frame)))
        return parts

    # -- the handshake --------------------------------------------------------------------------------

    def _hello(self, body: bytes) -> bytes:
        if len(body) != _LENGTH_OF_HELLO or not body.startswith(_HELLO) or any(body[8:80]):
            raise Violation(f"the command {body[1:9]!r} of {len(body)} bytes instead of HELLO")
        theirs, number = body[80:112], self._number(body[112:120])
        common = crypto_box_beforenm(theirs, self._key.secret)
        if crypto_box_open_easy_afternm(body[120:], b"CurveZMQHELLO---" + number, common) != bytes(64):
            raise Violation("a HELLO whose content is not all zeros")
        public, secret = crypto_box_keypair()
        self._cookie_key = os.urandom(32)
        nonce = os.urandom(16)
        cookie = nonce + crypto_secretbox_easy(theirs + secret, b"COOKIE--" + nonce, self._cookie_key)
        nonce = os.urandom(16)
        return _WELCOME + nonce + crypto_box_easy_afternm(public + cookie, b"WELCOME-" + nonce, common)

    def _initiate(self, body: bytes) -> bytes:
        if len(body) < _SHORTEST_INITIATE or not body.startswith(_INITIATE):
            raise Violation(f"the command {body[1:9]!r} of {len(body)} bytes instead of INITIATE")
        cookie_key, self._cookie_key = self._cookie_key, b""
        cookie = crypto_secretbox_open_easy(body[25:105], b"COOKIE--" + body[9:25], cookie_key)
        theirs, secret = cookie[:32], cookie[32:]
        number = self._number(body[105:113])
        session = crypto_box_beforenm(theirs, secret)
        plain = crypto_box_open_easy_afternm(body[113:], b"CurveZMQINITIATE" + number, session)
        permanent, nonce = plain[:32], plain[32:48]
        vouch = crypto_box_open_easy_afternm(plain[48:128], b"VOUCH---" + nonce, crypto_box_beforenm(permanent, secret))
        if not hmac.compare_digest(vouch, theirs + self._key.public):
            raise Violation("an INITIATE whose vouch is for another connection")
        self._admits(permanent)
        self._session, self.metadata, self.ready = session, plain[128:], True
        number = self._next()
        return _READY + number + crypto_box_easy_afternm(METADATA, b"CurveZMQREADY---" + number, session)

    # -- numbers --------------------------------------------------------------------------------------

    def _number(self, nonce: bytes | bytearray) -> bytes | bytearray:
        """The short nonce of a received command; each has to be larger than the one before. Raises Violation."""
        number = int.from_bytes(nonce)
        if number <= self._heard:
            raise Violation(f"the number {number} after {self._heard}")
        self._heard = number
        return nonce

    def _next(self) -> bytes:
        self._said += 1
        return self._said.to_bytes(8)


def _box(session: bytes, number: bytes, flags: int, content: bytes) -> bytes:
    """What a MESSAGE encloses. session: the key."""
    return crypto_box_easy_afternm(bytes((flags,)) + content, b"CurveZMQMESSAGES" + number, session)
