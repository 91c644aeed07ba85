"""Content codings: any chain of them, at any split, is undone exactly; what is broken is never taken for whole."""

from __future__ import annotations

import gzip
import zlib
from itertools import pairwise

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshd.net.encodings import PIECE, BrokenEncoding, UnknownEncoding, decoder, readable, zstd_module


def raw_deflate(data: bytes) -> bytes:
    made = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return made.compress(data) + made.flush()


def members(data: bytes) -> bytes:
    return gzip.compress(data[: len(data) // 2]) + gzip.compress(data[len(data) // 2 :])


def frames(data: bytes) -> bytes:
    return zstd(data[:1]) + zstd(data[1:])


def zstd(data: bytes) -> bytes:
    return zstd_module().compress(data)


WAYS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZip": members,
    "deflate": zlib.compress,
    "Deflate": raw_deflate,
    "br": brotli.compress,
    "zstd": zstd,
    "ZSTD": frames,
    "identity": lambda data: data,
    "none": lambda data: data,
    "": lambda data: data,
}


def undone(header: str, coded: bytes, cuts: list[int] = (), limit: int = PIECE) -> bytes:
    made = decoder(header)
    if made is None:
        return coded
    got = bytearray()
    edges = [0, *sorted(cut % (len(coded) + 1) for cut in cuts), len(coded)]
    for a, b in pairwise(edges):
        made.feed(coded[a:b])
        while made.more:
            piece = made.read(limit)
            assert len(piece) <= limit + 2 * PIECE  # Brotli's library has pieces of its own size
            got += piece
    made.finish()
    return bytes(got)


@st.composite
def chains(draw: st.DrawFn) -> tuple[str, bytes, bytes]:
    """A header, what was coded, and what came of it."""
    names = draw(st.lists(st.sampled_from(sorted(WAYS)), min_size=1, max_size=3))
    data = draw(st.binary(max_size=400)) * draw(st.sampled_from([0, 1, 3, 500]))
    coded = data
    for name in names:
        coded = WAYS[name](coded)
    blank = draw(st.sampled_from(["", " ", "\t", "  "]))
    return f"{blank},{blank}".join(names), data, coded


@given(chains(), st.lists(st.integers(0), max_size=4), st.sampled_from([1, 7, 1000, PIECE]))
@settings(deadline=None)
def test_any_chain_is_undone_at_any_split(made, cuts, limit):
    header, data, coded = made
    if len(data) > 5000 and limit < 100:
        limit = 1000
    assert undone(header, coded, cuts, limit) == data


@pytest.mark.parametrize("name", ["gzip", "deflate", "Deflate", "br", "zstd"])
@given(data=st.data())
@settings(deadline=None, max_examples=50)
def test_what_is_cut_is_never_whole(name, data):
    coded = WAYS[name](b'{"choices":[{"message":{"content":"hello"}}]}' * 3)
    cut = data.draw(st.integers(1, len(coded) - 1))
    with pytest.raises(BrokenEncoding):
        undone(name, coded[:cut])


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_a_body_in_another_coding_than_declared_is_an_error(name):
    with pytest.raises(BrokenEncoding, match=r"is not valid|ends before"):
        undone(name, b'{"choices":[]}')


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_a_changed_byte_is_found(name):
    coded = bytearray(gzip.compress(b"a" * 1000) if name == "gzip" else zstd(b"a" * 1000))
    coded[-6 if name == "gzip" else 2] ^= 0xFF
    with pytest.raises(BrokenEncoding):
        undone(name, bytes(coded))


def test_padding_after_a_gzip_means_nothing():
    assert undone("gzip", gzip.compress(b"{}") + b"\0" * 40) == b"{}"
    assert undone("gzip", gzip.compress(b"{}") + b"\r\n") == b"{}"


def test_a_body_of_no_bytes_is_one():
    for name in ("gzip", "deflate", "br", "zstd"):
        assert undone(name, b"") == b""


@pytest.mark.parametrize(
    "header", ["snappy", "gzip, snappy", "snappy, gzip", "compress", "x-compress", "aws-chunked", "gzip;q=1", "dcz"]
)
def test_what_is_not_known_is_refused_by_its_name(header):
    unknown = next(name.strip() for name in header.split(",") if name.strip() != "gzip")
    with pytest.raises(UnknownEncoding, match=unknown):
        decoder(header)


def test_a_name_is_no_way_to_a_terminal():
    with pytest.raises(UnknownEncoding) as caught:
        decoder("\x1b[2J" + "x" * 4000)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 120


def test_a_chain_has_an_end():
    with pytest.raises(UnknownEncoding, match="40 content encodings"):
        decoder(", ".join(["gzip"] * 40))


@pytest.mark.parametrize("name", ["gzip", "deflate", "Deflate", "br", "zstd"])
def test_what_grows_without_end_comes_in_pieces(name):
    """30 MB of zeros; twice over, too."""
    zeros = WAYS[name](bytes(30_000_000))
    for header, coded in ((name, zeros), (f"{name}, gzip", gzip.compress(zeros))):
        made = decoder(header)
        assert made is not None
        made.feed(coded)
        total = steps = held = 0
        while made.more and total < 5_000_000:
            total += len(made.read())
            steps += 1
            held = max(held, made.held)
        assert total >= 5_000_000
        assert steps < 500
        assert held <= len(coded) + PIECE


def test_many_members_take_linear_time():
    made = decoder("gzip")
    assert made is not None
    empty = gzip.compress(b"")
    made.feed(empty * 50_000)  # a megabyte
    steps = 0
    while made.more:
        assert made.read() == b""
        steps += 1
    made.finish()
    assert steps <= 100_000


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("gzip, snappy, br;q=0.5", "gzip, br;q=0.5"),
        ("snappy", "identity"),
        ("identity", "identity"),
        ("*", "identity"),
        ("", "identity"),
    ],
)
def test_only_what_can_be_read_is_asked_for(asked, sent):
    assert readable(asked) == sent
