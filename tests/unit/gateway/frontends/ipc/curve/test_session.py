"""CurveZMQ without a network: a client's key is proved, and nothing that is changed or repeated gets through."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as some

pytest.importorskip("nacl", reason="needs modelmesh[curve]")

from meshd.core.text.z85 import decode_key, encode_key
from meshd.gateway.frontends.ipc.curve.session import CurveSession, DaemonKey, LongFrame
from meshd.gateway.frontends.ipc.zmtp import Bounds, Incoming, Peer, Refused, Violation
from tests.support.apps.curve.curve_peer import DEALER, GREETING, CurvePeer, frames_in, on_the_wire

KEY = DaemonKey(bytes(range(32)))
CLIENT = bytes(range(1, 33))
BOUNDS = Bounds(message=4096, discarded=100_000, head=300, heads=3, frames=8, free=100)


class Connection:
    """The server's side of one connection, with a client beside it. admits: as `CurveSession` takes it."""

    def __init__(
        self,
        admits: Callable[[bytes], None] = lambda key: None,
        take: Callable[[int], bool] = lambda size: True,
        key: DaemonKey = KEY,
        bounds: Bounds = BOUNDS,
    ) -> None:
        self.sent: list[bytes] = []
        self.session = CurveSession(key, admits)
        self.peer = Peer(lambda: bounds, self.sent.append, take, self.session)
        self.client = CurvePeer(key.public, CLIENT)
        self.read(GREETING)

    def read(self, data: bytes) -> list[Incoming]:
        self.peer.receive(data)
        found = []
        while self.peer.pending:
            if (each := self.peer.next()) is not None:
                found.append(each)
        return found

    def says(self, frames: list[bytes]) -> list[tuple[int, bytes]]:
        """What the client gets of a message: flags and content of each frame."""
        parts = self.session.message(frames, delimited=self.peer.delimited)
        wire = b"".join(b"".join(part.sealed()) if isinstance(part, LongFrame) else part for part in parts)
        return [self.client.open(body) for _, body in frames_in(wire)]

    def command(self, body: bytes) -> bytes:
        """Sends a command; the body of the answer."""
        before = len(self.sent)
        self.read(on_the_wire(body, 4))
        [answer] = self.sent[before:]
        [(flags, found)] = frames_in(answer)
        assert flags & 4
        return found

    def welcome(self, changed: Callable[[bytes], bytes] = bytes) -> None:
        """changed: what becomes of the HELLO on its way."""
        self.client.welcomed(self.command(changed(self.client.hello())))

    def join(self, changed: Callable[[bytes], bytes] = bytes) -> Connection:
        self.welcome(changed)
        assert b"ROUTER" in self.client.ready(self.command(self.client.initiate()))
        assert self.peer.ready
        return self


@given(some.binary(min_size=32, max_size=32))
def test_z85_is_the_same_in_both_directions(key: bytes) -> None:
    assert decode_key(encode_key(key)) == key


@pytest.mark.parametrize("text", ["", "a" * 39, "a" * 41, "a" * 39 + " ", "#" * 40, "é" * 40])
def test_what_is_no_key_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="expected a CURVE key") as caught:
        decode_key(text)
    assert not text or text not in str(caught.value)


def test_z85_is_zeromqs_own() -> None:
    zmq = pytest.importorskip("zmq")
    public, secret = zmq.curve_keypair()
    assert encode_key(DaemonKey(decode_key(secret.decode())).public) == public.decode()


def test_a_client_is_known_by_the_key_that_it_has() -> None:
    seen: list[bytes] = []
    made = Connection(seen.append).join()
    assert seen == [made.client.public]
    [one] = made.read(made.client.message([b"", b"one", b"x" * 300]))
    assert one.frames == [b"", b"one", b"x" * 300]
    assert made.says([b"", b"two", b"y" * 400]) == [(1, b""), (1, b"two"), (0, b"y" * 400)]
    assert made.says([b"one", b"z" * 100_000, b"three"]) == [(1, b"one"), (1, b"z" * 100_000), (0, b"three")]


def test_nothing_is_admitted_before_the_client_has_proved_its_key() -> None:
    seen: list[bytes] = []
    made = Connection(seen.append)
    made.welcome()
    assert not seen
    assert not made.peer.ready


def test_a_key_that_is_not_admitted_is_told() -> None:
    def refuse(key: bytes) -> None:
        raise Refused("it is not known")

    made = Connection(refuse)
    made.welcome()
    with pytest.raises(Refused):
        made.read(on_the_wire(made.client.initiate(), 4))
    assert frames_in(made.sent[-1]) == [(4, b"\x05ERROR\x03400")]
    assert not made.peer.ready


def test_a_client_with_another_key_of_the_server_gets_no_answer() -> None:
    made = Connection()
    made.client.server = DaemonKey(os.urandom(32)).public
    sent = len(made.sent)
    with pytest.raises(Violation, match="cannot be opened"):
        made.read(on_the_wire(made.client.hello(), 4))
    assert len(made.sent) == sent


def test_a_welcome_is_shorter_than_its_hello() -> None:
    made = Connection()
    hello = made.client.hello()
    assert len(made.command(hello)) < len(hello) == 200


WRONG: dict[str, Callable[[Connection], Any]] = {
    "hello of another content": lambda made: made.command(made.client.hello(b"\1" * 64)),
    "hello of another version": lambda made: made.command(b"\x05HELLO\x02" + made.client.hello()[7:]),
    "hello whose padding is used": lambda made: made.command(made.client.hello()[:8] + b"x" + made.client.hello()[9:]),
    "hello that is too short": lambda made: made.command(made.client.hello()[:-1]),
    "hello of a key of small order": lambda made: made.command(
        made.client.hello()[:80] + bytes(32) + made.client.hello()[112:]
    ),
    "initiate first": lambda made: made.command(b"\x08INITIATE" + bytes(300)),
    "ready of the mechanism NULL": lambda made: made.command(b"\x05READY" + DEALER),
    "a message first": lambda made: made.read(b"\x00\x01x"),
    "two hellos": lambda made: (made.welcome(), made.welcome()),
    "a vouch for another connection": lambda made: (
        made.welcome(),
        made.command(made.client.initiate(vouched=bytes(32))),
    ),
    "a vouch for another server": lambda made: (made.welcome(), made.command(made.client.initiate(server=bytes(32)))),
    "another socket type": lambda made: (
        made.welcome(),
        made.command(made.client.initiate(b"\x0bSocket-Type\0\0\0\3SUB")),
    ),
    "broken metadata": lambda made: (made.welcome(), made.command(made.client.initiate(b"\x05x"))),
    "a plain message after the handshake": lambda made: made.join().read(b"\x00\x28" + b"x" * 40),
    "a message that is too short": lambda made: made.join().read(b"\x00\x20" + b"x" * 32),
    "reserved flags": lambda made: made.join().read(on_the_wire(made.client.seal(b"x", 4))),
    "more of a command": lambda made: made.join().read(on_the_wire(made.client.seal(b"\4PING", 3))),
    "flags outside": lambda made: made.join().read(on_the_wire(made.client.seal(b"x"), 1)),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_breaks_the_protocol_is_found_at_once(name: str) -> None:
    with pytest.raises(Violation) as caught:
        WRONG[name](Connection())
    assert str(caught.value).isprintable()
    assert KEY.secret.hex() not in str(caught.value)


@pytest.mark.parametrize("greeting", [GREETING[:32] + b"\x01" + bytes(31), GREETING[:12] + b"NULL" + bytes(48)])
def test_another_mechanism_and_another_server_are_refused(greeting: bytes) -> None:
    peer = Peer(lambda: BOUNDS, [].append, lambda size: True, CurveSession(KEY, lambda key: None))
    peer.receive(greeting)
    with pytest.raises(Violation):
        peer.next()


def test_a_recorded_session_cannot_be_replayed() -> None:
    """Neither its HELLO's cookie nor its INITIATE means anything to another connection."""
    first = Connection()
    hello = first.client.hello()
    first.client.welcomed(first.command(hello))
    initiate = first.client.initiate()
    first.command(initiate)
    asked: list[bytes] = []
    second = Connection(asked.append)
    second.command(hello)
    with pytest.raises(Violation, match="cannot be opened"):
        second.read(on_the_wire(initiate, 4))
    assert not asked


def test_no_message_is_taken_twice_or_in_another_order() -> None:
    made = Connection().join()
    first, second = on_the_wire(made.client.seal(b"first")), on_the_wire(made.client.seal(b"second"))
    assert [each.frames for each in made.read(first + second)] == [[b"first"], [b"second"]]
    for repeated in (second, first):
        with pytest.raises(Violation, match="the number"):
            made.read(repeated)


@given(some.integers(0, 10**6), some.integers(1, 255))
@example(111, 128)  # the multiplication ignores this bit of a key, and only the vouch tells
def test_a_changed_byte_of_the_handshake_is_found(place: int, change: int) -> None:
    def changed(body: bytes) -> bytes:
        at = place % len(body)
        return body[:at] + bytes((body[at] ^ change,)) + body[at + 1 :]

    asked: list[bytes] = []
    made = Connection(asked.append)
    with pytest.raises(Violation):
        made.join(changed)
    made = Connection(asked.append)
    made.welcome()
    with pytest.raises(Violation):
        made.command(changed(made.client.initiate()))
    assert not asked
    made = Connection().join()
    with pytest.raises(Violation):
        made.read(on_the_wire(changed(made.client.seal(b"something"))))


@given(some.binary(max_size=400), some.booleans())
def test_whatever_comes_instead_is_a_violation_or_nothing(data: bytes, welcomed: bool) -> None:
    made = Connection()
    if welcomed:
        made.welcome()
    assume(data)
    with contextlib.suppress(Violation):
        assert made.read(data) == []
    assert not made.peer.ready


@given(some.lists(some.integers(0, 5), max_size=12), some.integers(0, 10_000))
def test_frames_that_are_left_out_repeated_or_swapped_are_no_new_messages(order: list[int], cut: int) -> None:
    """Who changes the stream can end it, and can leave out what comes; never repeat it or put it in another order."""
    made = Connection().join()
    sealed = [on_the_wire(made.client.seal(bytes((number,)) * 9)) for number in range(6)]
    stream = b"".join(sealed[place] for place in order)
    got: list[int] = []
    with contextlib.suppress(Violation):
        for data in (stream[:cut], stream[cut:]):
            made.peer.receive(data)
            while made.peer.pending:
                if (each := made.peer.next()) is not None:
                    got.append(each.frames[0][0])
    assert got == sorted(set(got))
    rises = next((at for at in range(1, len(order)) if order[at] <= order[at - 1]), len(order))
    assert got == order[:rises]


def test_a_ping_is_sealed_as_its_answer_is() -> None:
    made = Connection().join()
    before = len(made.sent)
    assert made.read(on_the_wire(made.client.seal(b"\4PING\0\x0acontext", 2))) == []
    [(flags, body)] = frames_in(made.sent[before])
    assert flags == 0
    assert made.client.open(body) == (2, b"\4PONGcontext")
    assert made.read(made.client.message([b"x"]))[0].frames == [b"x"]


def test_what_is_too_large_ends_the_connection_after_its_answer() -> None:
    """It is not decrypted, so it stays unknown whether its message goes on."""
    made = Connection().join()
    [one] = made.read(made.client.message([b"", b"", b"", b"x" * 5000]))
    assert (one.frames[-1], one.discarded) == (b"", 5000)
    with pytest.raises(Refused):
        made.read(made.client.message([b"next"]))


def test_a_long_frame_is_opened_elsewhere_and_what_follows_waits_for_it() -> None:
    made = Connection(bounds=Bounds(message=2**20, discarded=0)).join()
    long = os.urandom(300_000)
    stream = made.client.message([b"", b"", b"", long, b"more"]) + made.client.message([b"next"])
    assert made.read(stream[:310_000]) == []
    sealed, session = made.peer.opening, made.peer.session
    assert session is not None
    assert made.read(stream[310_000:]) == [], "it is not opened yet"
    made.peer.opened(*session.open(sealed))
    found = []
    while made.peer.pending:
        found.append(made.peer.next())
    assert [each.frames for each in found if each] == [[b"", b"", b"", long, b"more"], [b"next"]]
    assert made.peer.held == 0

    made.read(made.client.message([b"", b"", b"", long]))
    with pytest.raises(Violation, match="cannot be opened"):
        session.open(made.peer.opening[:-1] + bytes((made.peer.opening[-1] ^ 1,)))
    made.peer.drop()
    assert not made.peer.opening


def test_room_is_asked_for_before_anything_is_kept() -> None:
    asked: list[int] = []

    def take(size: int) -> bool:
        asked.append(size)
        return True

    made = Connection(take=take).join()
    stream = made.client.message([b"", b"", b"", b"x" * 3000])
    assert made.read(stream[:200]) == []
    assert asked == [2900]
    [one] = made.read(stream[200:])
    assert one.held == 2900
