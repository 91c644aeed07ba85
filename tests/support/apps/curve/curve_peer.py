"""The client's side of CurveZMQ, step by step, well or badly, on PyNaCl."""

from __future__ import annotations

import os

from nacl.bindings import (
    crypto_box,
    crypto_box_keypair,
    crypto_box_open,
    crypto_scalarmult_base,
)

from tests.support.apps.raw_peer import header

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"CURVE".ljust(20, b"\0") + bytes(32)
DEALER = b"\x0bSocket-Type\0\0\0\x06DEALER"


class CurvePeer:
    """server: its public key. secret: of the client's pair."""

    def __init__(self, server: bytes, secret: bytes) -> None:
        self.server = server
        self.secret, self.public = secret, crypto_scalarmult_base(secret)
        self.transient, self.transient_secret = crypto_box_keypair()
        self.number = 0
        self.theirs = self.cookie = b""

    def next(self) -> bytes:
        self.number += 1
        return self.number.to_bytes(8)

    def hello(self, zeros: bytes = bytes(64)) -> bytes:
        number = self.next()
        box = crypto_box(zeros, b"CurveZMQHELLO---" + number, self.server, self.transient_secret)
        return b"\x05HELLO\x01\x00" + bytes(72) + self.transient + number + box

    def welcomed(self, welcome: bytes) -> None:
        assert welcome.startswith(b"\x07WELCOME")
        assert len(welcome) == 168
        plain = crypto_box_open(welcome[24:], b"WELCOME-" + welcome[8:24], self.server, self.transient_secret)
        self.theirs, self.cookie = plain[:32], plain[32:]

    def initiate(self, metadata: bytes = DEALER, vouched: bytes | None = None, server: bytes | None = None) -> bytes:
        """vouched, server: what the vouch says instead of the transient key and the server's."""
        nonce = os.urandom(16)
        said = (self.transient if vouched is None else vouched) + (self.server if server is None else server)
        vouch = nonce + crypto_box(said, b"VOUCH---" + nonce, self.theirs, self.secret)
        number = self.next()
        plain = self.public + vouch + metadata
        box = crypto_box(plain, b"CurveZMQINITIATE" + number, self.theirs, self.transient_secret)
        return b"\x08INITIATE" + self.cookie + number + box

    def ready(self, answer: bytes) -> bytes:
        """The server's metadata."""
        assert answer.startswith(b"\x05READY")
        return crypto_box_open(answer[14:], b"CurveZMQREADY---" + answer[6:14], self.theirs, self.transient_secret)

    def seal(self, content: bytes, flags: int = 0) -> bytes:
        number = self.next()
        plain = bytes((flags,)) + content
        box = crypto_box(plain, b"CurveZMQMESSAGEC" + number, self.theirs, self.transient_secret)
        return b"\x07MESSAGE" + number + box

    def open(self, body: bytes) -> tuple[int, bytes]:
        assert body.startswith(b"\x07MESSAGE")
        plain = crypto_box_open(body[16:], b"CurveZMQMESSAGES" + body[8:16], self.theirs, self.transient_secret)
        return plain[0], plain[1:]

    def message(self, frames: list[bytes]) -> bytes:
        """On the wire."""
        last = len(frames) - 1
        return b"".join(on_the_wire(self.seal(frame, int(place < last))) for place, frame in enumerate(frames))


def on_the_wire(body: bytes, flags: int = 0) -> bytes:
    """A frame; flags 4: a command."""
    start = header(len(body))
    return bytes((start[0] | flags,)) + start[1:] + body


def frames_in(data: bytes) -> list[tuple[int, bytes]]:
    """(flags, body) of each frame."""
    found, at = [], 0
    while at < len(data):
        flags = data[at]
        start = at + (9 if flags & 2 else 2)
        end = start + int.from_bytes(data[at + 1 : start])
        found.append((flags, data[start:end]))
        at = end
    return found


def pair() -> tuple[str, str]:
    """(public, secret), in Z85, as `meshctl curve create` makes them: without what looks like a reference."""
    import zmq

    while True:
        public, secret = (key.decode() for key in zmq.curve_keypair())
        if "${" not in public + secret:
            return public, secret
