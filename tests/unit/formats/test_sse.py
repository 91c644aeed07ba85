"""The event parser: the same events whatever the split, and no quadratic cost."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.formats import sse
from meshd.formats.sse import EventParser, EventTooLarge, ServerEvent

STREAM = (
    b"\xef\xbb\xbf: OPENROUTER PROCESSING\n\n"
    b'data: {"a":1}\n\n'
    b'event: error\r\ndata:{"b":2}\r\n\r\n'
    b"id: 7\rretry: 10\rdata: one\rdata: two\r\r"
    b"data\n\n"
    b"data:   spaces\n\n"
    b"data: [DONE]\n\n"
)
EVENTS = [
    ServerEvent(b'{"a":1}'),
    ServerEvent(b'{"b":2}', b"error"),
    ServerEvent(b"one\ntwo"),
    ServerEvent(b""),
    ServerEvent(b"  spaces"),
    ServerEvent(b"[DONE]"),
]


def parse(chunks: list[bytes]) -> list[ServerEvent]:
    parser = EventParser()
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    return events + parser.finish()


def test_the_whole_stream_at_once():
    assert parse([STREAM]) == EVENTS


def test_one_byte_at_a_time():
    assert parse([STREAM[i : i + 1] for i in range(len(STREAM))]) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_split_gives_the_same_events(cuts):
    edges = [0, *sorted(cuts), len(STREAM)]
    assert parse([STREAM[a:b] for a, b in itertools.pairwise(edges)]) == EVENTS


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])), min_size=1, max_size=5),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.integers(1, 9),
)
def test_what_was_sent_arrives(texts, end, size):
    sent = [text.encode() for text in texts]
    stream = b"".join(b"data: " + text + end + end for text in sent)
    got = parse([stream[i : i + size] for i in range(0, len(stream), size)])
    assert [event.data for event in got] == sent


def test_the_end_completes_what_lacks_its_blank_line():
    assert parse([b"data: a\n"]) == [ServerEvent(b"a")]
    assert parse([b"data: a"]) == [ServerEvent(b"a")]
    assert parse([b""]) == []


def test_a_huge_event_in_small_pieces_is_linear():
    parser = EventParser()
    piece = b"x" * 1024
    parser.feed(b"data: ")
    for _ in range(5 * 1024):
        assert parser.feed(piece) == []
    (event,) = parser.feed(b"\n\n")
    assert len(event.data) == 5 * 1024 * 1024


@pytest.mark.parametrize("unit", [b"x" * 512, b"data: " + b"y" * 512 + b"\n"])
def test_an_event_without_end_is_refused(monkeypatch, unit):
    monkeypatch.setattr(sse, "MAX_PENDING", 4096)
    parser = EventParser()
    with pytest.raises(EventTooLarge):
        [parser.feed(unit) for _ in range(20)]
