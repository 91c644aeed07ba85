"""A message's stream, cut at any byte: whole, or told as broken; never an answer that looks whole and is not."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshd.formats.anthropic.stream.assembled import Assembly
from meshd.formats.anthropic.stream.event_stream import EventReader
from meshd.formats.errors.transport_failures import failure_from_exception
from meshd.host import clock
from meshd.sdk.provider import FailureKind, ProviderFailure, StreamEvent, Usage
from tests.support.formats import anthropic_messages

Json = dict[str, Any]


class Body:
    """Pieces of bytes, then the end, a broken connection, or silence."""

    def __init__(self, pieces: list[bytes], end: BaseException | None) -> None:
        self._pieces = [piece for piece in pieces if piece]
        self._end = end
        self._failed: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def read_some(self) -> bytes:
        if self._pieces:
            return self._pieces.pop(0)
        if isinstance(self._end, TimeoutError):
            return await self._failed
        if self._end is not None:
            raise self._end
        return b""

    def fail(self, reason: Exception) -> None:
        self._failed.set_exception(reason)

    def abort(self) -> None: ...

    def linger(self, loop: Any) -> None: ...


def read(
    stream: bytes,
    cuts: list[int] | None = None,
    end: BaseException | None = None,
    *,
    event_stream: bool = True,
    idle: float = 9.0,
) -> tuple[list[StreamEvent], ProviderFailure | None]:
    """The events, and why it is not whole; None if it is."""

    async def collect() -> tuple[list[StreamEvent], ProviderFailure | None]:
        edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts or ()), len(stream)]
        body: Any = Body([stream[a:b] for a, b in pairwise(edges)], end)
        reader = EventReader(
            body,
            started=clock.now(),
            first_token=9.0,
            idle=idle,
            total=9.0,
            where="here",
            event_stream=event_stream,
            limits=None,
            failed=lambda exc: failure_from_exception(exc, "here", 9.0),
        )
        events: list[StreamEvent] = []
        try:
            while not reader.done:
                events += await reader.more()
        except ProviderFailure as failure:
            return events, failure
        finally:
            reader.close()
        return events, None

    return asyncio.run(collect())


def sse(event: Json) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (event["type"].encode(), msgspec.json.encode(event))


def text_of(events: list[StreamEvent]) -> str:
    return "".join(event.text for event in events)


def start(**usage: int) -> Json:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": []}
    return {"type": "message_start", "message": {**message, "usage": {"input_tokens": 7, "output_tokens": 1, **usage}}}


def text(*pieces: str, index: int = 0) -> list[Json]:
    deltas = [
        {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": piece}}
        for piece in pieces
    ]
    begun = {"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}}
    return [begun, *deltas, {"type": "content_block_stop", "index": index}]


END = {
    "type": "message_delta",
    "delta": {"stop_reason": "end_turn", "stop_sequence": None},
    "usage": {"output_tokens": 3},
}
STOP = {"type": "message_stop"}
WHOLE = [start(), {"type": "ping"}, *text("Once", " upon"), END, STOP]


def joined(events: list[Json]) -> bytes:
    return b"".join(map(sse, events))


def test_a_stream_passes_with_its_bytes() -> None:
    events, failure = read(joined(WHOLE))
    assert failure is None
    assert [event.data for event in events] == [msgspec.json.encode(each) for each in WHOLE if each["type"] != "ping"]
    assert [(event.content, event.text, event.finish_reason) for event in events] == [
        (False, "", None),
        (False, "", None),
        (True, "Once", None),
        (True, " upon", None),
        (False, "", None),
        (False, "", "stop"),
        (False, "", None),
    ]
    assert [event.usage for event in events if event.usage] == [Usage(7, 1), Usage(7, 3)]


@given(anthropic_messages.streams(), st.lists(st.integers(0), max_size=6))
@settings(max_examples=60)
def test_any_stream_split_anywhere_is_the_answer(made: tuple[list[Json], Json], cuts: list[int]) -> None:
    stream, answer = made
    events, failure = read(joined(stream), cuts)
    assert failure is None
    assembly = Assembly()
    for event in events:
        assembly.add(event.data)
    assert json.loads(assembly.answer())["content"] == json.loads(msgspec.json.encode(answer))["content"]


def test_an_unreadable_event_breaks_the_stream_and_is_counted() -> None:
    events, failure = read(joined([start(), *text("Once")[:2]]) + b'data: {"type": "content_block_del\n\n')
    assert failure is not None
    assert failure.kind is FailureKind.STREAM_CUT
    assert [(event.hidden, event.text) for event in events[-2:]] == [(False, "Once"), (True, "")]
    assert events[-1].extra == '{"type": "content_block_del'


def test_a_split_at_every_byte_changes_nothing() -> None:
    stream = joined([start(), *text("Où 哈"), END, STOP])
    whole = read(stream)
    assert all(read(stream, [at]) == whole for at in range(len(stream)))
    assert read(stream, list(range(len(stream)))) == whole


@pytest.mark.parametrize("end", [None, ConnectionResetError()])
def test_a_cut_before_the_stop_reason_is_never_told_as_whole(end: BaseException | None) -> None:
    """At every byte. After it, everything has come: the last event is added, if it is missing."""
    before = joined(WHOLE[:-2])
    for at in range(len(before) + 1):
        events, failure = read(before[:at], end=end)
        assert failure is not None
        assert "Once upon".startswith(text_of(events))
    events, failure = read(joined(WHOLE[:-1]), end=end)
    assert failure is None
    assert json.loads(events[-1].data) == STOP


def test_without_a_stop_reason_a_call_is_whole_by_its_arguments() -> None:
    def calling(*pieces: str) -> list[Json]:
        call = {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "tool_use", "id": "t", "name": "f"},
        }
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        return [start(), call, *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas)]

    for whole in (calling(), calling('{"a":', " 1}"), [start(), *text("Once")]):
        assert read(joined([*whole, STOP]))[1] is None
    events, failure = read(joined([*calling('{"a":'), {"type": "content_block_stop", "index": 0}, STOP]))
    assert failure is not None
    assert failure.kind is FailureKind.STREAM_CUT
    assert STOP not in [json.loads(event.data) for event in events]
    assert read(joined([*calling('{"a":'), {**END, "delta": {"stop_reason": "max_tokens"}}, STOP]))[1] is None


def test_a_server_that_stays_connected_after_the_stop_reason_does_not_delay_the_end() -> None:
    events, failure = read(joined(WHOLE[:-1]), end=TimeoutError(), idle=0.05)
    assert (failure, json.loads(events[-1].data)) == (None, STOP)
    events, failure = read(joined(WHOLE[:3]) + sse(text("x")[1]), end=TimeoutError(), idle=0.05)
    assert failure is not None
    assert failure.kind is FailureKind.STREAM_CUT


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("overloaded_error", FailureKind.BAD_ANSWER),
        ("rate_limit_error", FailureKind.RATE_LIMIT),
        ("authentication_error", FailureKind.AUTHENTICATION),
        ("invalid_request_error", FailureKind.INVALID_REQUEST),
    ],
)
@pytest.mark.parametrize("after", [0, 1, 4])
def test_an_error_in_the_stream_is_a_failure(kind: str, expected: FailureKind, after: int) -> None:
    error = {"type": "error", "error": {"type": kind, "message": "no more of this"}}
    events, failure = read(joined(WHOLE[:after]) + sse(error))
    assert failure is not None
    assert (failure.kind, failure.message) == (expected, "no more of this")
    assert text_of(events) == ("Once" if after == 4 else "")


@pytest.mark.parametrize(
    "odd",
    [
        b"data: {\n\n",
        b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","te\n\n',
        b"event: error\ndata: it broke\n\n",
        b"<html>Bad gateway</html>\n\n",
        b'data: {"error":{"message":"it broke"}}\n\n',
        b'data: {"detail":"it broke"}\n\n',
    ],
)
def test_what_cannot_be_read_breaks_the_stream(odd: bytes) -> None:
    events, failure = read(joined(WHOLE[:4]) + odd + joined(WHOLE[5:]))
    assert failure is not None
    assert text_of(events) == "Once"


@pytest.mark.parametrize(
    "beat",
    [b":\n\n", b": keepalive\n\n", b'event: ping\ndata: {"type": "ping"}\n\n', b"event: ping\ndata: {}\n\n",
     b'data: {"type":"ping"}\n\n', b"data: {}\n\n", b"retry: 3000\n\n"],
)  # fmt: skip
def test_signs_of_life_are_ignored(beat: bytes) -> None:
    events, failure = read(beat.join([b"", *map(sse, WHOLE)]))
    assert (failure, text_of(events)) == (None, "Once upon")
    assert len(events) == len(WHOLE) - 1


def test_events_without_a_type_have_it_from_their_name() -> None:
    stream = b"".join(
        b"event: %s\ndata: %s\n\n" % (each["type"].encode(), msgspec.json.encode({**each, "type": None}))
        for each in WHOLE
    )
    events, failure = read(stream)
    assert (failure, text_of(events)) == (None, "Once upon")
    assert [json.loads(event.data)["type"] for event in events] == [
        each["type"] for each in WHOLE if each["type"] != "ping"
    ]


@pytest.mark.parametrize("tail", [b"", b"data: [DONE]\n\n"])
def test_several_events_in_one_and_a_mark_of_another_api_are_understood(tail: bytes) -> None:
    stream = b"data: [" + b",".join(map(msgspec.json.encode, WHOLE[:-1])) + b"]\n\n" + tail
    events, failure = read(stream)
    assert (failure, text_of(events), json.loads(events[-1].data)) == (None, "Once upon", STOP)


def test_a_stream_of_another_api_is_no_answer() -> None:
    chunk = {"id": "c", "choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]}
    events, failure = read(b"data: " + msgspec.json.encode(chunk) + b"\n\ndata: [DONE]\n\n")
    assert failure is not None
    assert failure.kind is FailureKind.BAD_ANSWER
    assert not events


def test_a_unary_answer_where_a_stream_was_due_is_passed_on_as_events() -> None:
    message = {**start()["message"], "content": [{"type": "text", "text": "Once"}], "stop_reason": "max_tokens"}
    events, failure = read(json.dumps(message).encode(), [20], event_stream=False)
    assert (failure, text_of(events)) == (None, "Once")
    assert [event.finish_reason for event in events if event.finish_reason] == ["length"]
    assert json.loads(events[-1].data) == STOP


def test_an_answer_without_content_is_an_answer() -> None:
    events, failure = read(joined([start(), {**END, "delta": {"stop_reason": "max_tokens"}}, STOP]))
    assert (failure, [event.finish_reason for event in events]) == (None, [None, "length", None])


def test_calls_and_thoughts_are_told_apart_from_text() -> None:
    thinking = {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}}
    signature = {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}}
    call = {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "f"}}
    piece = {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{}"}}
    events, failure = read(joined([start(), thinking, signature, call, piece, END, STOP]))
    assert failure is None
    assert [(event.content, event.reasoning, bool(event.extra)) for event in events[1:5]] == [
        (True, "Hm.", False),
        (False, "", False),
        (True, "", True),
        (True, "", True),
    ]


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["type", "index", "delta", "text", "usage", "message", "content_block", "stop_reason"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
TYPED = st.builds(
    lambda kind, more: {**(more if isinstance(more, dict) else {}), "type": kind},
    st.sampled_from(["message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop"]),
    ODD,
)


@given(st.lists(TYPED | ODD, max_size=5), st.lists(st.integers(0), max_size=3))
def test_any_json_is_read_or_a_failure(odd: list[Any], cuts: list[int]) -> None:
    stream = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in odd)
    read(stream, cuts)
    events, failure = read(joined(WHOLE[:4]) + stream + joined(WHOLE[4:]), cuts)
    assert failure is not None or text_of(events).startswith("Once")


@given(st.binary(max_size=80), st.booleans())
def test_any_bytes_are_read_or_a_failure(stream: bytes, event_stream: bool) -> None:
    _, failure = read(stream, event_stream=event_stream)
    assert failure is not None
