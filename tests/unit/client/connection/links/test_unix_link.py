"""A link over a UNIX socket: bytes as libzmq's, cut anywhere, large, and from peers that break rules."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from modelmesh._connection.links.unix_link import UnixLink

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x04\x29\x05READY\x0bSocket-Type\0\0\0\x06ROUTER\x08Identity\0\0\0\0"
WITHIN = 10.0  # s
frames = some.lists(some.binary(max_size=300) | some.integers(250, 70_000).map(bytes), min_size=1, max_size=5)


class Driven:
    """A link, driven as its owners do it. got: its messages."""

    def __init__(self, path: Path) -> None:
        self.link = UnixLink(str(path))
        self.got: list[list[bytes]] = []

    def read(self) -> None:
        while (message := self.link.receive()) is not None:
            self.got.append(message)

    def until(self, done: Callable[[], object]) -> None:
        end = time.monotonic() + WITHIN
        while not done():
            assert time.monotonic() < end, "it takes too long"
            select.select([self.link.fd], [self.link.fd] if self.link.unsent else [], [], 0.05)
            self.read()

    def close(self) -> None:
        self.link.close()


class Peer(Driven):
    """Also the daemon's end, byte by byte."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        with closing(socket.socket(socket.AF_UNIX)) as listening:
            listening.bind(str(path))
            listening.listen()
            super().__init__(path)
            self.end, _ = listening.accept()
        self.end.settimeout(WITHIN)

    def sends(self, data: bytes) -> None:
        self.end.sendall(data)
        self.read()

    def greets(self) -> None:
        self.sends(GREETING + READY)
        assert self.link.connected

    def close(self) -> None:
        self.end.close()
        super().close()


@pytest.fixture
def peer(short: Path) -> Iterator[Peer]:
    with closing(Peer(short / "s")) as made:
        yield made


@pytest.fixture
def router(short: Path) -> Iterator[zmq.Socket[bytes]]:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as made:
        made.setsockopt(zmq.LINGER, 0)
        made.setsockopt(zmq.RCVTIMEO, int(WITHIN * 1000))
        made.bind(f"ipc://{short / 's'}")
        yield made


def wire(message: list[bytes]) -> bytes:
    parts = []
    for index, frame in enumerate(message):
        more = index < len(message) - 1
        size = bytes((more, len(frame))) if len(frame) < 256 else bytes((more | 2,)) + len(frame).to_bytes(8, "big")
        parts += [size, frame]
    return b"".join(parts)


def test_libzmq_understands_it_and_is_understood(router: zmq.Socket[bytes], short: Path) -> None:
    with closing(Driven(short / "s")) as driven:
        sent = [[b""], [b"a", b"", b"c"], [bytes(255), bytes(256)], [b"x", bytes(20 * 1024 * 1024), b"y"]]
        for each in sent:
            driven.link.send(each)
        received: list[list[bytes]] = []
        while len(received) < len(sent):
            driven.until(lambda: router.poll(0))
            received.append(router.recv_multipart())
        assert [each[1:] for each in received] == sent
        for each in sent:
            router.send_multipart([received[0][0], *each])
        driven.until(lambda: len(driven.got) == len(sent))
        assert driven.got == sent


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some.lists(frames, max_size=6), some.lists(some.integers(1, 40_000), max_size=40), some.booleans())
def test_messages_come_whole_however_they_are_cut(
    short: Path, messages: list[list[bytes]], cuts: list[int], late: bool
) -> None:
    with closing(Peer(short / "s")) as peer:
        if late:
            peer.greets()
        data = (b"" if late else GREETING + READY) + b"".join(map(wire, messages))
        for cut in cuts:
            peer.sends(data[:cut])
            data = data[cut:]
        peer.end.setblocking(False)
        while data:
            with suppress(BlockingIOError):
                data = data[peer.end.send(data[:50_000]) :]
            peer.read()
        peer.until(lambda: len(peer.got) == len(messages))
        assert peer.got == messages


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some.lists(frames, max_size=6), some.integers(1, 30_000))
def test_what_the_peer_reads_slowly_is_sent_whole(short: Path, messages: list[list[bytes]], piece: int) -> None:
    with closing(Peer(short / "s")) as peer:
        peer.greets()
        for each in messages:
            peer.link.send(each)
        expected = b"\x04\x1c" + b"\x05READY\x0bSocket-Type\0\0\0\x06DEALER" + b"".join(map(wire, messages))
        found = b""
        while len(found) < len(GREETING) + len(expected):
            found += peer.end.recv(piece)
            peer.read()
        assert found == GREETING + expected
        assert not peer.link.unsent


def test_nothing_is_sent_before_the_handshake(peer: Peer) -> None:
    peer.link.send([b"hello"])
    assert len(peer.end.recv(4096)) == len(GREETING) + 30
    peer.greets()
    assert peer.end.recv(4096) == b"\0\5hello"


def test_a_ping_is_answered_with_its_context(peer: Peer) -> None:
    peer.greets()
    peer.end.recv(4096)
    peer.sends(b"\x04\x0a\x04PING\0\x0aabc")
    assert peer.end.recv(4096) == b"\x04\x08\x04PONGabc"


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\n" + bytes(64),
        b"\xff" + bytes(8) + b"\x7f\x01" + bytes(60),
        GREETING.replace(b"NULL", b"CURV") + READY,
        GREETING + b"\0\5hello",  # before READY
        GREETING + b"\x04\x0a\x05ERROR\x03400",
    ],
    ids=["another protocol", "another version", "another mechanism", "a message at once", "an error"],
)
def test_a_peer_that_is_no_daemon_fails_it(peer: Peer, said: bytes) -> None:
    peer.sends(said)
    assert peer.link.failed
    assert not peer.link.refused


def test_what_came_before_the_end_is_read(peer: Peer) -> None:
    peer.greets()
    peer.end.sendall(wire([b"last"]))
    peer.end.close()
    peer.link.send([bytes(10_000_000)])
    peer.until(lambda: peer.link.failed)
    assert peer.got == [[b"last"]]


def test_none_listens(short: Path) -> None:
    (short / "old").touch()
    with closing(UnixLink(str(short / "none"))) as absent, closing(UnixLink(str(short / "old"))) as stale:
        assert absent.failed
        assert stale.failed
        absent.send([b"x"])
        assert absent.receive() is None
    with pytest.raises(OSError, match="too long"):
        UnixLink("x" * 200)
