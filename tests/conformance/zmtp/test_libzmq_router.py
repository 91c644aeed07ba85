"""libzmq's ROUTER, which the daemon's own code stands in for: an oracle of the codec, and what it lets peers do.

The attacks show that the tests of `tests/security` would fail with it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as some

from meshd.gateway.frontends.ipc.zmtp import GREETING, Bounds, Peer
from meshd.host.process import processes
from modelmesh import protocol as wire
from tests.support.apps.other_users.stranger import OTHER, Stranger, pids_can_be_chosen, reborn
from tests.support.apps.raw_peer import RawPeer, command, message, ready
from tests.support.waiting import WAIT, until

BOUNDS = Bounds(message=2**20, discarded=0)
MIB = 1024**2

Frames = list[bytes]
FRAMES = some.lists(some.binary(max_size=20) | some.sampled_from((255, 256, 300)).map(bytes), min_size=1, max_size=6)
BETWEEN = some.sampled_from((b"", command(b"PING", b"\0\x0acontext"), command(b"PONG"), command(b"X", b"own"), b"\4\0"))


class Router:
    """A ROUTER that a test reads and answers by itself."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "router"
        self._socket = zmq.Context.instance().socket(zmq.ROUTER)
        self._socket.set(zmq.LINGER, 0)
        self._socket.bind(f"ipc://{self.path}")

    def receive(self) -> Frames:
        """With the routing id in front."""
        assert self._socket.poll(WAIT * 1000), "nothing came"
        return self._socket.recv_multipart()

    def whose(self) -> tuple[int, ...]:
        """(uid, gid, pid) of who sent the next message, as libzmq tells them with it."""
        assert self._socket.poll(WAIT * 1000), "nothing came"
        address = self._socket.recv_multipart(copy=False)[-1].get("Peer-Address")
        return tuple(map(int, address.split(":")[1:]))

    def send(self, frames: Frames) -> None:
        self._socket.send_multipart(frames)

    def readable(self) -> bool:
        return bool(self._socket.poll(50))

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module")
def router(module_short: Path) -> Iterator[Router]:
    made = Router(module_short)
    yield made
    made.close()


def dialled(path: Path, identity: bytes = b"") -> RawPeer:
    """A peer whose handshake is over: libzmq closes a connection whose first message comes together with READY."""
    peer = RawPeer(path, identity=identity)
    until(lambda: b"Identity" in peer.socket.recv(4096, socket.MSG_PEEK), what="its READY has come")
    return peer


@some.composite
def encodings(draw: Any) -> tuple[Frames, bytes]:
    """A message, and one of the ways to write it: frames in the long form, commands between them."""
    frames = draw(FRAMES)
    parts = []
    for place, frame in enumerate(frames):
        more = place < len(frames) - 1
        long = len(frame) > 255 or draw(some.booleans())
        header = bytes((more | 2,)) + len(frame).to_bytes(8) if long else bytes((more, len(frame)))
        parts += [draw(BETWEEN), header, frame]
    return frames, b"".join(parts)


@settings(max_examples=40, deadline=None)
@given(some.lists(encodings(), min_size=1, max_size=4), some.lists(some.integers(1, 60), max_size=12))
def test_both_take_the_same_messages(router: Router, sent: list[tuple[Frames, bytes]], pieces: list[int]) -> None:
    """However they are written and split; and a peer reads from both what was meant."""
    ours = Peer(lambda: BOUNDS, lambda data: None, lambda size: True)
    stream = b"".join(written for _, written in sent)
    found: list[Frames] = []

    def read(data: bytes) -> None:
        ours.receive(data)
        while ours.pending:
            if (each := ours.next()) is not None:
                found.append(each.frames)

    read(GREETING + ready())
    with contextlib.closing(dialled(router.path)) as peer:
        for size in (*pieces, len(stream)):
            piece, stream = stream[:size], stream[size:]
            peer.send(piece)
            read(piece)
        assert found == [frames for frames, _ in sent]
        for frames in found:
            identity, *came = router.receive()
            assert came == frames
            router.send([identity, *frames])
            assert peer.receive() == frames
        for frames in found:
            peer.send(ours.encode(frames))
            assert router.receive()[1:] == frames


def test_a_routing_id_of_libzmqs_own_takes_over_anothers_answers(router: Router) -> None:
    with contextlib.closing(dialled(router.path)) as ann:
        ann.send(message([b"question"]))
        identity, _ = router.receive()
        assert identity[:1] == b"\0"

    with contextlib.ExitStack() as dials:

        def taken() -> RawPeer | None:
            """Eve by Ann's id, as soon as libzmq has let Ann go; until then it ignores her."""
            eve = dials.enter_context(contextlib.closing(dialled(router.path, identity)))
            eve.send(message([b"mine"]))
            return eve if router.readable() else None

        eve = until(taken, what="libzmq takes Eve for Ann")
        assert router.receive() == [identity, b"mine"]
        router.send([identity, b"the answer to Ann"])
        assert eve.receive() == [b"the answer to Ann"]


ECHO = """
import sys, zmq
router = zmq.Context.instance().socket(zmq.ROUTER)
router.bind("ipc://" + sys.argv[1])
print("listens", flush=True)
while True:
    router.send_multipart(router.recv_multipart()[:1] * 2)
"""


@pytest.fixture
def echo(short: Path) -> Iterator[Callable[..., tuple[Path, Any]]]:
    """`echo()`: the path and process of a ROUTER that tells each peer its routing id. options: of the process."""
    made: list[Any] = []

    def make(**options: Any) -> tuple[Path, Any]:
        path = short / "echo"
        program = [sys.executable, "-c", ECHO, path]
        made.append(subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **options))
        assert made[-1].stdout.readline() == b"listens\n"
        return path, made[-1]

    yield make
    for each in made:
        each.kill()
        each.wait(WAIT)
        each.stdout.close()


def test_a_routing_id_to_come_aborts_libzmq(echo: Any) -> None:
    path, process = echo()
    with contextlib.closing(dialled(path)) as eve:
        eve.send(message([b"who am I?"]))
        [identity] = eve.receive()
        following = (int.from_bytes(identity[1:]) + 1) % 2**32
        with contextlib.closing(dialled(path, b"\0" + following.to_bytes(4))) as claiming:
            claiming.send(message([b"mine"]))
            assert claiming.receive() == [b"\0" + following.to_bytes(4)]
            with contextlib.closing(RawPeer(path)):
                assert process.wait(WAIT) == -signal.SIGABRT


def test_an_endless_multipart_grows_libzmq_and_not_the_daemon(echo: Any, daemon: Any) -> None:
    frame = b"\3" + MIB.to_bytes(8) + bytes(MIB)

    def held(pid: int) -> int:
        return int(psutil.Process(pid).memory_info().rss)

    path, process = echo()
    before = held(process.pid)
    with contextlib.closing(dialled(path)) as eve:
        for _ in range(80):
            eve.send(frame)
        until(lambda: held(process.pid) - before > 72 * MIB, what="libzmq holds all of it")
    before = held(daemon.process.pid)
    with contextlib.closing(dialled(daemon.socket)) as eve:
        with contextlib.suppress(ConnectionError):
            for _ in range(80):
                eve.send(frame)
        until(eve.ended, what="the connection is closed")
        until(lambda: held(daemon.process.pid) - before < 16 * MIB, what="the daemon holds none of it")


def test_idle_connections_abort_libzmq_and_not_the_daemon(echo: Any, meshd: Any) -> None:
    """More than it may have files open."""

    def few(files: int) -> dict[str, Any]:
        return {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))}

    def idle(path: Path, dials: contextlib.ExitStack) -> None:
        for _ in range(150):
            line = dials.enter_context(socket.socket(socket.AF_UNIX))
            line.settimeout(WAIT)
            with contextlib.suppress(OSError):  # it has ended, or its queue is full
                line.connect(str(path))

    with contextlib.ExitStack() as dials:
        path, process = echo(**few(64))
        idle(path, dials)
        assert process.wait(WAIT) == -signal.SIGABRT
    daemon = meshd({}, **few(128))
    with contextlib.ExitStack() as dials:
        idle(daemon.socket, dials)
        until(lambda: "a connection of user" in daemon.log(), what="they are too many")
        assert daemon.process.poll() is None
    assert until(daemon.status, what="it accepts connections again")


def test_a_reused_pid_is_taken_for_who_connected_by_libzmqs_word_alone(router: Router, daemon: Any) -> None:
    """libzmq tells a pid with each message, and nothing of the process: it has to be looked up when a message comes."""
    pids_can_be_chosen()
    with (
        contextlib.closing(Stranger(Path(router.path), 0)) as eve,
        contextlib.closing(Stranger(daemon.socket, 0)) as bob,
    ):
        at_libzmq, at_daemon = eve.connect(), bob.connect()
        until(lambda: b"Identity" in at_libzmq.socket.recv(4096, socket.MSG_PEEK), what="its READY has come")
        until(lambda: b"READY" in at_daemon.socket.recv(4096, socket.MSG_PEEK), what="its READY has come")
        eve.end()
        with reborn(eve.process.pid, 0):
            at_libzmq.send(message([b"hi"]))
            uid, _, pid = router.whose()
            assert (uid, pid) == (0, eve.process.pid)
            assert processes.executable(pid) == os.path.realpath(OTHER), "another program's rights"
        bob.end()
        with reborn(bob.process.pid, 0):
            asked = wire.RequestHead(method="GET", path="/mesh/v1/describe")
            at_daemon.send(message(wire.encode(wire.REQUEST, wire.new_request_id(), asked)))
            you = msgspec.json.decode(wire.decode(at_daemon.receive()).body)["you"]
            assert you["exe"] == os.path.realpath(sys.executable), "the program that connected"
