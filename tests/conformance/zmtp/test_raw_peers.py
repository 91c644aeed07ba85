"""Peers that speak ZMTP byte by byte, with every oddity that the specification allows, and those that it does not."""

from __future__ import annotations

import fcntl
import os
import termios
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from modelmesh import protocol as wire
from tests.support.apps.raw_peer import GREETING, RawPeer, command, header, message, ready
from tests.support.waiting import until

HELLO = message(wire.encode(wire.HELLO))
PING = command(b"PING", b"\0\x0acontext")
PONG = command(b"PONG", b"context")


def prop(name: bytes, value: bytes) -> bytes:
    return bytes((len(name),)) + name + len(value).to_bytes(4) + value


def long(frame: bytes, flags: int = 0) -> bytes:
    """A long frame, whatever its size."""
    return bytes((flags | 2,)) + len(frame).to_bytes(8) + frame


def between(part: bytes) -> bytes:
    """HELLO with this in front of each frame."""
    *others, last = wire.encode(wire.HELLO)
    return b"".join(part + header(len(frame), True) + frame for frame in others) + part + message([last])


DEALER = prop(b"Socket-Type", b"DEALER")
LEGAL = {
    "3.0": GREETING[:11] + b"\0" + GREETING[12:] + ready() + HELLO,
    "a later minor version": GREETING[:11] + b"\x09" + GREETING[12:] + ready() + HELLO,
    "a later version": GREETING[:10] + b"\x04\0" + GREETING[12:] + ready() + HELLO,
    "padding of the signature": b"\xff" + b"\1" * 8 + GREETING[9:] + ready() + HELLO,
    "as a server": GREETING[:32] + b"\1" + GREETING[33:] + ready() + HELLO,
    "filler": GREETING[:33] + b"\xff" * 31 + ready() + HELLO,
    "READY in a long frame": GREETING + long(ready()[2:], 4) + HELLO,
    "no Identity": GREETING + command(b"READY", DEALER) + HELLO,
    "names of properties in capitals": GREETING + command(b"READY", DEALER.replace(b"Socket", b"SOCKET")) + HELLO,
    "unknown properties": GREETING
    + command(b"READY", prop(b"X-Colour", b"") + DEALER + prop(b"n" * 120, b"\0\xff" * 20))
    + HELLO,
    "large properties": GREETING + long(command(b"READY", b"")[2:] + prop(b"x", bytes(7000)) + DEALER, 4) + HELLO,
    "long frames": GREETING + ready() + b"".join(map(long, wire.encode(wire.HELLO), (1, 1, 0))),
    "commands between frames": GREETING + ready() + between(command(b"PONG") + command(b"X-OWN", b"data")),
    "PINGs between frames": GREETING + ready() + between(PING),
    "a PING without a context": GREETING + ready() + command(b"PING", b"\xff\xff") + HELLO,
    "a PING that is cut short": GREETING + ready() + command(b"PING", b"\0") + HELLO,
    "a PING in a long frame": GREETING + ready() + long(PING[2:], 4) + HELLO,
    "an empty command": GREETING + ready() + b"\x04\0" + HELLO,
    "a command without a name": GREETING + ready() + command(b"") + HELLO,
    "a command whose name is longer than it": GREETING + ready() + b"\x04\x02\x09x" + HELLO,
    "a message of one empty frame": GREETING + ready() + b"\0\0" + HELLO,
    "a message of empty frames": GREETING + ready() + b"\1\0\1\0\0\0" + HELLO,
}
"""Up to a HELLO, which is answered."""
for name in (b"SUBSCRIBE", b"CANCEL", b"JOIN", b"LEAVE", b"READY"):
    LEGAL[f"{name.decode()} of a DEALER"] = GREETING + ready() + command(name, b"topic") + HELLO

REFUSED = {
    "ZMTP 1.0": b"\x01\0",
    "ZMTP 1.0 with an identity": b"\x03\0me\x02\0hi",
    "ZMTP 2.0": GREETING[:10] + b"\x01\x05\0\0",
    "ZMTP 2.0 to the version": GREETING[:10] + b"\x01",
    **{
        f"a {kind.decode()} socket": GREETING + ready(kind)
        for kind in (b"SUB", b"XSUB", b"PUB", b"PUSH", b"PULL", b"PAIR", b"REP", b"RADIO", b"DISH", b"STREAM", b"x")
    },
    "two socket types": GREETING + command(b"READY", DEALER + prop(b"Socket-Type", b"SUB")),
    "a SUBSCRIBE instead of READY": GREETING + command(b"SUBSCRIBE", b"topic"),
    "a JOIN instead of READY": GREETING + command(b"JOIN", b"group"),
    "a PING before READY": GREETING + PING + ready(),
    "a message before READY": GREETING + HELLO,
    "an ERROR": GREETING + ready() + command(b"ERROR", b"\x03why"),
}


@pytest.fixture
def raw(daemon: Any) -> Iterator[Callable[[], RawPeer]]:
    """`raw()`: a connection that has said nothing."""
    made: list[RawPeer] = []

    def make() -> RawPeer:
        made.append(RawPeer(daemon.socket, greet=False))
        return made[-1]

    yield make
    for each in made:
        each.close()


def welcomed(peer: RawPeer) -> bool:
    while (message := wire.decode(peer.receive())).kind != wire.WELCOME:
        assert message.kind == wire.ERROR
    return True


def taken(peer: RawPeer) -> None:
    """Wait until the other side has read everything."""

    def unread() -> int:
        return int.from_bytes(fcntl.ioctl(peer.socket, termios.TIOCOUTQ, bytes(4)), "little")

    until(lambda: not unread(), what="what was sent is read")


@pytest.mark.parametrize("case", LEGAL, ids=lambda case: case.replace(" ", "-"))
def test_what_is_legal_is_served(raw: Any, case: str) -> None:
    peer = raw()
    peer.send(LEGAL[case])
    assert welcomed(peer)


def test_a_greeting_may_be_split_anywhere(raw: Any) -> None:
    for at in range(1, len(GREETING)):
        peer = raw()
        peer.send(GREETING[:at])
        taken(peer)
        peer.send(GREETING[at:] + ready() + HELLO)
        assert welcomed(peer), at
        peer.close()


def test_all_may_come_byte_by_byte(raw: Any) -> None:
    peer = raw()
    for byte in GREETING + ready() + PING + HELLO:
        peer.send(bytes((byte,)))
        taken(peer)
    assert welcomed(peer)


@pytest.mark.parametrize("context", [b"", b"c", b"\0" * 16])
def test_a_ping_gets_its_context_back_whatever_its_time_to_live(raw: Any, context: bytes) -> None:
    peer = raw()
    for ttl in (b"\0\0", b"\0\x0a", b"\xff\xff"):
        peer.send((GREETING + ready() if ttl == b"\0\0" else b"") + command(b"PING", ttl + context))
    wanted = command(b"PONG", context) * 3
    came = b""
    while not came.endswith(wanted):
        more = peer.socket.recv(4096)
        assert more, came
        came += more


def test_what_is_refused_is_closed_and_costs_nothing(raw: Any, daemon: Any) -> None:
    """ZMTP 1.0 and 2.0, sockets of another type, and commands that only those send."""
    files = f"/proc/{daemon.process.pid}/fd"
    before = len(os.listdir(files))
    peers = {case: raw() for case in REFUSED}
    for case, peer in peers.items():
        peer.send(REFUSED[case])
    for case, peer in peers.items():
        until(peer.ended, what=f"{case} is closed")
    until(lambda: len(os.listdir(files)) <= before, what="nothing is left open")
    assert "Traceback" not in daemon.log()
