"""WebM as it should not be: what a reader could find beyond the blocks, and blocks with several packets."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.sdk.reading.audio import webm
from tests.support.recordings import recording

HEAD, SEGMENT, TRACKS, TRACK, CLUSTER = (
    b"\x1a\x45\xdf\xa3",
    b"\x18\x53\x80\x67",
    b"\x16\x54\xae\x6b",
    b"\xae",
    b"\x1f\x43\xb6\x75",
)
NUMBER, TYPE, CODEC, PRIVATE, ENCODINGS = b"\xd7", b"\x83", b"\x86", b"\x63\xa2", b"\x6d\x80"
TIME, BLOCK, GROUP, INNER, VOID, DURATION = b"\xe7", b"\xa3", b"\xa0", b"\xa1", b"\xec", b"\x9b"
TWENTY = bytes([1 << 3])  # a packet of Opus: one frame of 20 ms
PACKET = TWENTY + bytes(49)
VORBIS = b"\x01vorbis" + struct.pack("<IBIIIIB", 0, 1, 48000, 0, 0, 0, 0xB8)
LEAST = 750  # bytes of a second


def element(id: bytes, *content: bytes, size: bytes | None = None) -> bytes:
    inside = b"".join(content)
    return id + (struct.pack(">I", len(inside) | 0x1000_0000) if size is None else size) + inside


def track(*more: bytes, number: int = 1, kind: int = 2, codec: bytes = b"A_OPUS") -> bytes:
    return element(TRACK, element(NUMBER, bytes([number])), element(TYPE, bytes([kind])), element(CODEC, codec), *more)


def block(data: bytes = PACKET, *, lacing: int = 0, number: int = 1, id: bytes = BLOCK) -> bytes:
    return element(id, bytes([0x80 | number, 0, 0, lacing << 1]), data)


def cluster(*blocks: bytes, size: bytes | None = None) -> bytes:
    return element(CLUSTER, element(TIME, b"\0"), *blocks, size=size)


def film(*clusters: bytes, tracks: bytes | None = None) -> bytes:
    told = element(TRACKS, track()) if tracks is None else tracks
    return element(HEAD, element(b"\x42\x82", b"webm")) + element(SEGMENT, told, *clusters)


def seconds(data: bytes) -> float | None:
    found = webm.length(memoryview(data))
    return None if found is None else float(found)


EMPTY = seconds(film()) or 0.0


def of_blocks(data: bytes) -> float:
    found = seconds(data)
    assert found is not None
    return found - EMPTY


def test_each_packet_counts_as_long_as_it_says() -> None:
    assert 0 < EMPTY < 0.1
    assert of_blocks(film(cluster(block(), block()), cluster(block()))) == pytest.approx(0.06)
    group = element(GROUP, block(id=INNER), element(DURATION, b"\1"))
    assert of_blocks(film(cluster(group, block(b"")))) == pytest.approx(0.02)
    sixty = bytes([3 << 3 | 3, 2]) + bytes(20)  # two frames of 60 ms
    assert of_blocks(film(cluster(block(sixty)))) == pytest.approx(0.12)


@pytest.mark.parametrize(
    ("lacing", "sizes"), [(1, b"\x32\x0a"), (3, b"\xb2" + struct.pack(">H", 0x4000 | 10 - 50 + 8191))]
)
def test_several_packets_in_a_block(lacing: int, sizes: bytes) -> None:
    """Of 50, 10 and 50 bytes, each with 20 ms."""
    data = bytes([2]) + sizes + PACKET + PACKET[:10] + PACKET
    assert of_blocks(film(cluster(block(data, lacing=lacing)))) == pytest.approx(0.06)


def test_packets_of_one_size() -> None:
    data = bytes([4]) + 5 * PACKET
    assert of_blocks(film(cluster(block(data, lacing=2)))) == pytest.approx(0.1)
    assert of_blocks(film(cluster(block(data + b"x", lacing=2)))) > len(data) / LEAST, "that is broken"


def test_a_packet_of_vorbis_is_a_block_at_most() -> None:
    private = element(PRIVATE, bytes([2, len(VORBIS), 1]) + VORBIS + b"xy")
    tracks = element(TRACKS, track(private, codec=b"A_VORBIS"))
    found, none = seconds(film(cluster(block(), block()), tracks=tracks)), seconds(film(tracks=tracks))
    assert found is not None
    assert none is not None
    assert found - none == pytest.approx(2 * 2048 / 2 / 48000)


def test_pictures_are_no_sound() -> None:
    tracks = element(TRACKS, track(), track(number=2, kind=1, codec=b"V_VP8"))
    data = film(cluster(block(bytes(50_000), number=2), block()), tracks=tracks)
    assert of_blocks(data) == pytest.approx(0.02, abs=0.1)


TINY = bytes([3 << 3])  # 60 ms in one byte
HIDDEN = cluster(*[block(TINY)] * 50)
WRONG = element(b"\x23\xe3\x83", bytes(9))  # a number that is too long for FFmpeg


@pytest.mark.parametrize(
    "data",
    [
        film(element(VOID, HIDDEN)),
        film(cluster(element(VOID, HIDDEN))),
        film(element(b"\x1c\x53\xbb\x6b", HIDDEN)),
        film(cluster(element(GROUP, element(VOID, HIDDEN)))),
        film(cluster(block(HIDDEN, number=9))),
        film(b"\0" + HIDDEN),
        film(cluster(block(HIDDEN), size=b"\x85")),  # the block is longer than its cluster
        film(cluster(element(TIME, HIDDEN))),
        film(element(VOID, HIDDEN, size=b"\xff")),
        film(tracks=element(TRACKS, track(WRONG, element(b"\x63\xca", HIDDEN)))),
        film() + bytes(3) + HIDDEN,
    ],
)
def test_what_is_hidden_counts_as_well(data: bytes) -> None:
    """FFmpeg finds it in most of these."""
    assert 50 * 0.06 <= of_blocks(data) < 50 * 0.06 + len(HIDDEN) / LEAST


def test_what_is_nothing_counts_by_its_bytes() -> None:
    for more in (element(VOID, bytes(7500)), bytes(7500)):
        assert of_blocks(film(cluster(block()), more)) == pytest.approx(10.02, abs=0.02)


def test_bytes_are_not_known_twice() -> None:
    """A cluster that begins inside a time, again and again, does not make up for others."""
    trick = element(TIME, CLUSTER + b"\x10\0\0\0", size=b"\x88") * 100
    assert of_blocks(film(cluster(trick), element(VOID, bytes(7500)))) >= 10


@pytest.mark.parametrize(
    "tracks",
    [
        element(TRACKS, track()) * 2,
        element(TRACKS, track(), track()),
        element(TRACKS, track(element(CODEC, b"A_PCM/INT/LIT"))),
        element(TRACKS, track(codec=b"A_AAC")),
        element(TRACKS, track(element(ENCODINGS, b""))),
        element(TRACKS, track(), track(number=2, codec=b"A_PCM/INT/LIT")),
        element(TRACKS, track(codec=b"A_VORBIS")),
        element(TRACKS, track(element(PRIVATE, b"\2\xff\xff"), codec=b"A_VORBIS")),
        element(TRACKS, track(kind=1)),
        element(TRACKS),
        b"",
    ],
)
def test_what_may_be_another_codec_is_unknown(tracks: bytes) -> None:
    assert seconds(film(cluster(block()), tracks=tracks)) is None


def test_a_packet_that_opus_does_not_have_is_unknown() -> None:
    assert seconds(film(cluster(block(bytes(70_000))))) is None


def test_a_stream_that_does_not_say_its_sizes_is_the_same() -> None:
    whole, live = seconds(recording("tone.webm")), seconds(recording("tone-live.webm"))
    assert whole is not None
    assert live is not None
    assert 0.9 <= live <= whole + 0.3


@given(
    st.lists(
        st.sampled_from([HEAD, SEGMENT, TRACKS, TRACK, CLUSTER, GROUP, VOID, b"\xff", b"\x85", b"\x01" + bytes(7),
                         element(TRACKS, track()), block(), block(bytes([200]), lacing=1),
                         block(bytes([200]), lacing=3), PACKET]),
        max_size=12,
    )
)  # fmt: skip
def test_any_elements_have_a_length_or_none(pieces: list[bytes]) -> None:
    data = film() + b"".join(pieces)
    found = seconds(data)
    assert found is None or len(data) / LEAST * 0.01 < found < len(data)
