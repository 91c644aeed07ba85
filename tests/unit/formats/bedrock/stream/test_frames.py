"""Frames, compared with botocore's own reader of them."""

from __future__ import annotations

import json
import struct
from binascii import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from meshd.formats.bedrock.stream.frames import FrameParser
from meshd.formats.sse import MAX_PENDING, BrokenFraming, EventTooLarge, ServerEvent
from tests.support.formats.converse_frames import error, event, exception, frame

DELTA = event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Grüße"}, "p": "abc"})

payloads = st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers(), max_size=3)
kinds = st.sampled_from(["messageStart", "contentBlockDelta", "messageStop", "metadata"])


def read(data: bytes, size: int) -> list[ServerEvent]:
    parser = FrameParser()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return [each for piece in pieces for each in parser.feed(piece)] + parser.finish()


@given(told=st.lists(st.tuples(kinds, payloads), max_size=5), size=st.integers(1, 200))
def test_events_are_the_same_at_any_split(told: list[tuple[str, dict[str, object]]], size: int) -> None:
    data = b"".join(event(*each) for each in told)
    theirs = EventStreamBuffer()
    theirs.add_data(data)
    expected = [{each.headers[":event-type"]: json.loads(each.payload)} for each in theirs]
    assert [json.loads(each.data) for each in read(data, size)] == expected
    assert [{kind: payload} for kind, payload in told] == expected


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (exception("throttlingException", "Slow down"), "throttlingException"),
        (error("InternalError", "Slow down"), "InternalError"),
    ],
)
def test_an_exception_becomes_an_error(data: bytes, code: str) -> None:
    (read_one,) = read(data, 7)
    assert json.loads(read_one.data) == {"error": {"code": code, "message": "Slow down"}}


def test_headers_of_every_type_are_passed_over() -> None:
    sizes = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
    values = [*((kind, b"x" * size) for kind, size in sizes.items()), (6, b"\x00\x03abc")]
    told = b"".join(b"\x02h" + bytes([48 + kind, kind]) + value for kind, value in values)
    plain = frame({":event-type": "messageStart", ":message-type": "event"}, b"{}")
    data = _with_headers(told, plain)
    assert [each.data for each in read(data, 1000)] == [b'{"messageStart":{}}']


def _with_headers(more: bytes, data: bytes) -> bytes:
    size = struct.unpack("!I", data[4:8])[0]
    headers, payload = more + data[12 : 12 + size], data[12 + size : -4]
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    body = prelude + struct.pack("!I", crc32(prelude)) + headers + payload
    return body + struct.pack("!I", crc32(body))


@pytest.mark.parametrize("at", [0, 5, 9, 14, 40, -8, -1])
def test_a_changed_byte_is_noticed(at: int) -> None:
    broken = bytearray(DELTA)
    broken[at] ^= 1
    with pytest.raises(BrokenFraming):
        read(bytes(broken), 1000)


def test_a_frame_has_a_bound() -> None:
    prelude = struct.pack("!II", MAX_PENDING + 1, 0)
    with pytest.raises(EventTooLarge):
        read(prelude + struct.pack("!I", crc32(prelude)), 3)
    short = struct.pack("!II", 12, 0)
    with pytest.raises(BrokenFraming, match="shorter"):
        read(short + struct.pack("!I", crc32(short)), 3)


@pytest.mark.parametrize("headers", [b"\x05ab", b"\x01a", b"\x01a\x0a", b"\x01a\x07\x00", b"\x01a\x07\x00\x09x"])
def test_headers_that_cannot_be_read(headers: bytes) -> None:
    with pytest.raises(BrokenFraming):
        read(_with_headers(headers, frame({}, b"{}")), 1000)


def test_half_a_frame_at_the_end_says_nothing() -> None:
    assert read(DELTA + DELTA[:-3], 10) == read(DELTA, 10)


def test_other_frames_say_nothing() -> None:
    assert read(frame({":message-type": "event", ":event-type": "initial-response"}, b"{}"), 100) == []
    assert read(frame({":message-type": "event", ":event-type": "ping"}, b""), 100) == []


def test_what_came_before_a_broken_frame_is_not_lost() -> None:
    for broken in (b"data: {}\n\n" * 9, DELTA[:-1] + b"x"):
        parser = FrameParser()
        with pytest.raises(BrokenFraming) as caught:
            parser.feed(DELTA * 2 + broken)
        assert list(caught.value.before) == FrameParser().feed(DELTA * 2)
        assert parser.feed(DELTA) == FrameParser().feed(DELTA), "it begins again"
