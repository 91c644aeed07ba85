"""The wire protocol below the messages: whatever the pieces, the same messages; whatever the bytes, within bounds."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from meshd.gateway.frontends.ipc.zmtp import GREETING, Bounds, Incoming, Peer, Violation
from tests.support.apps.raw_peer import command, message, ready

BOUNDS = Bounds(message=4096, discarded=100_000, head=300, heads=3, frames=8, free=100)
FRAMES = some.lists(some.binary(max_size=20) | some.just(b"x" * 256) | some.just(b"y" * 300), min_size=1, max_size=7)


def peer(sent: list[bytes] | None = None, take: Callable[[int], bool] = lambda size: True) -> Peer:
    return Peer(lambda: BOUNDS, [].append if sent is None else sent.append, take)


def greeted(kind: bytes = b"DEALER", sent: list[bytes] | None = None, **room: Any) -> Peer:
    made = peer(sent, **room)
    assert read(made, GREETING + ready(kind)) == []
    assert made.ready
    return made


def read(made: Peer, data: bytes = b"") -> list[Incoming]:
    """All messages that are complete with these bytes."""
    made.receive(data)
    found = []
    while made.pending:
        if (each := made.next()) is not None:
            found.append(each)
    return found


@given(some.lists(FRAMES, max_size=5), some.lists(some.integers(1, 400), max_size=30))
def test_in_whatever_pieces_they_come_messages_are_the_same(sent: list[list[bytes]], pieces: list[int]) -> None:
    stream = GREETING + ready() + b"".join(map(message, sent))
    made = peer()
    found = []
    for size in (*pieces, len(stream)):
        found += read(made, stream[:size])
        stream = stream[size:]
    assert [each.frames for each in found] == sent
    assert not any(each.discarded for each in found)
    assert made.held == 0


@given(FRAMES)
def test_what_is_encoded_is_what_a_peer_reads(frames: list[bytes]) -> None:
    [one] = read(greeted(), greeted().encode(frames))
    assert one.frames == frames


@given(FRAMES)
def test_a_req_socket_gets_its_delimiter_and_sends_one(frames: list[bytes]) -> None:
    asking = greeted(b"REQ")
    [one] = read(asking, message([b"", *frames]))
    assert one.frames == frames
    assert asking.encode(frames) == message([b"", *frames])


def test_a_greeting_may_come_in_two_parts_as_libzmq_sends_it() -> None:
    sent: list[bytes] = []
    made = peer(sent)
    assert sent == [GREETING]
    read(made, GREETING[:11])
    read(made, GREETING[11:])
    assert b"Socket-Type" in sent[1]
    read(made, ready(b"dealer".upper(), identity=b"\0\0\0\0\1"))
    assert made.ready


@pytest.mark.parametrize("minor", [0, 1, 7])
def test_later_versions_and_3_0_are_spoken_to(minor: int) -> None:
    made = peer()
    read(made, GREETING[:11] + bytes((minor,)) + GREETING[12:] + ready())
    assert made.ready


@pytest.mark.parametrize(
    "stream",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x01\x00",
        GREETING[:10] + b"\x02",
        GREETING[:12] + b"PLAIN" + bytes(15),
        GREETING[:12] + b"CURVE" + bytes(15),
        GREETING + ready(b"SUB"),
        GREETING + ready(b""),
        GREETING + command(b"HELLO"),
        GREETING + command(b"READY", b"\x20x"),
        GREETING + command(b"READY", b"\x01x\xff\xff\xff\xff"),
        GREETING + command(b"READY", b"\x00\x00\x00\x00\x00"),
        GREETING + message([b"x"]),
        GREETING + b"\x04\x00",
        GREETING + ready() + b"\x08\x01x",
        GREETING + ready() + b"\x05\x01x",
        GREETING + ready() + b"\x06" + (2**40).to_bytes(8),
        GREETING + ready() + b"\x02" + (2**63).to_bytes(8),
        GREETING + ready() + message([b"x"] * 9),
        GREETING + ready() + command(b"ERROR", b"\x03why"),
    ],
)
def test_what_breaks_the_protocol_is_found_at_once(stream: bytes) -> None:
    with pytest.raises(Violation) as caught:
        read(peer(), stream)
    assert str(caught.value).isprintable()


def test_a_ping_is_answered_with_its_context_and_no_more_than_allowed() -> None:
    sent: list[bytes] = []
    made = greeted(sent=sent)
    read(made, command(b"PING", b"\x00\x0acontext"))
    read(made, command(b"PING", b"\x00\x0a" + b"c" * 200))
    assert sent[2:] == [command(b"PONG", b"context"), command(b"PONG", b"c" * 16)]
    assert read(made, command(b"SUBSCRIBE", b"x") + command(b"?") + message([b"x"]))[0].frames == [b"x"]


@pytest.mark.parametrize(
    ("sizes", "kept", "discarded"),
    [
        ([1, 16, 20, 5000], [1, 16, 20, 0], 5000),
        ([1, 16, 20, 4000, 4000, 5], [1, 16, 20, 4000, 0, 5], 4000),
        ([1, 16, 301, 10], [1, 16, 0, 10], 301),
        ([1, 16, 300, 90_000], [1, 16, 300, 0], 90_000),
    ],
)
def test_what_is_too_large_is_counted_and_not_kept(sizes: list[int], kept: list[int], discarded: int) -> None:
    made = greeted()
    stream = message([b"x" * size for size in sizes])
    found = []
    for at in range(0, len(stream), 1000):
        found += read(made, stream[at : at + 1000])
        assert made.held <= BOUNDS.message + 300
    [one] = found
    assert ([len(frame) for frame in one.frames], one.discarded) == (kept, discarded)
    [following] = read(made, message([b"next"]))
    assert (following.frames, following.discarded) == ([b"next"], 0)


@given(
    some.lists(
        some.one_of(
            FRAMES.map(message),
            some.binary(max_size=30),
            some.builds(command, some.binary(max_size=9), some.binary(max_size=30)),
            some.builds(lambda flags, size: bytes((flags | 2,)) + size, some.integers(0, 255), some.binary(min_size=8)),
        ),
        max_size=8,
    ),
    some.integers(0, 400),
    some.integers(0, 255),
)
@example([b"\x02" + (4096).to_bytes(8)], 0, 0)
def test_any_bytes_are_messages_or_a_violation_and_bounded(parts: list[bytes], place: int, flipped: int) -> None:
    stream = bytearray(GREETING + ready() + b"".join(parts))
    if place < len(stream):
        stream[place] ^= flipped
    made = peer()
    with contextlib.suppress(Violation):
        for at in range(0, len(stream), 37):
            for one in read(made, bytes(stream[at : at + 37])):
                assert sum(map(len, one.frames)) <= BOUNDS.message
                assert len(one.frames) <= BOUNDS.frames
            assert made.held <= BOUNDS.message + 37 + 64


@given(some.lists(FRAMES, min_size=1, max_size=5), some.integers(1, 50), some.integers(0, 2**32))
def test_a_message_waits_for_room_before_any_of_it_is_kept(sent: list[list[bytes]], size: int, seed: int) -> None:
    """All the room that is taken comes back with the messages, whenever there is some."""
    taken: list[int] = []
    chance = random.Random(seed)

    def take(wanted: int) -> bool:
        assert wanted > 0
        if chance.random() < 0.5:
            return False
        taken.append(wanted)
        return True

    made = greeted(take=take)
    stream = b"".join(map(message, sent))
    found = []
    while stream or made.waits:
        piece, stream = (b"", stream) if made.waits else (stream[:size], stream[size:])
        found += read(made, piece)
    assert [each.frames for each in found] == sent
    assert sum(each.held for each in found) == sum(taken)
    for each in found:
        assert each.held == max(sum(map(len, each.frames)) - BOUNDS.free, 0)
    assert made.held == 0


def test_a_message_that_has_waited_in_vain_is_read_and_not_kept() -> None:
    room = [True, False]
    made = greeted(take=lambda size: room.pop(0))
    stream = message([b"x", b"id", b"h" * 200, b"body" * 100, b"more" * 100])
    assert read(made, stream + message([b"next"])) == []
    assert made.waits
    assert made.held
    made.stop_waiting()
    refused, following = read(made, b"")
    assert [len(frame) for frame in refused.frames] == [1, 2, 200, 0, 0]
    assert (refused.crowded, refused.discarded) == (True, 800)
    assert (following.frames, following.crowded, following.held) == ([b"next"], False, 0)
    assert not made.waits
