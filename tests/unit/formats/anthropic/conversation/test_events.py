"""A streamed message as events of records, and back."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from meshd.formats.anthropic.conversation.answer import read_answer, write_answer
from meshd.formats.anthropic.conversation.event_reader import MessageReader
from meshd.formats.anthropic.conversation.event_writer import MessageWriter
from meshd.formats.anthropic.stream.assembled import Assembly
from meshd.formats.conversation.answer import Answer, Finish
from meshd.formats.conversation.events import (
    Began,
    CallBegan,
    CallDelta,
    Event,
    Finished,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    Unread,
    Used,
    assembled,
)
from meshd.formats.conversation.parts import Other, Text, ToolCall
from meshd.formats.conversation.reading import Unreadable
from meshd.formats.openai.conversation.chunks import ChunkReader
from meshd.sdk.provider import Usage
from tests.support.formats import anthropic_messages, openai_chats

Json = dict[str, Any]


def events_of(stream: list[Json]) -> list[Event]:
    reader = MessageReader()
    return [event for each in stream for event in reader.read(msgspec.json.encode(each))]


def stream_of(events: list[Event], input_tokens: int = 0) -> list[Json]:
    writer = MessageWriter(input_tokens)
    payloads = [payload for event in events for payload in writer.write(event)] + writer.end()
    return [json.loads(payload) for payload in payloads]


def whole(stream: list[Json]) -> Json:
    """Assembled as events."""
    assembly = Assembly()
    for each in stream:
        assembly.add(msgspec.json.encode(each))
    made: Json = json.loads(assembly.answer())
    return made


def _is_nothing(part: Any) -> bool:
    return not any(getattr(part, name, "") for name in ("text", "signature", "encrypted", "id", "name"))


def _json(arguments: str) -> str:
    return json.dumps(json.loads(arguments or "{}"), sort_keys=True)


@given(anthropic_messages.streams())
def test_the_assembled_stream_is_the_answer(made: tuple[list[Json], Json]) -> None:
    stream, answer = made
    unary = json.loads(msgspec.json.encode(answer))
    assembly = whole(stream)
    assert assembly["content"] == unary["content"]
    assert {**assembly["usage"], **unary["usage"]} == assembly["usage"] | {
        name: value for name, value in unary["usage"].items() if value is None
    }
    assert {**assembly, "usage": None} == {**unary, "usage": None}


@given(anthropic_messages.streams())
def test_the_events_amount_to_the_answer(made: tuple[list[Json], Json]) -> None:
    stream, answer = made
    events = events_of(stream)
    read = plain_of(read_answer(msgspec.json.encode(answer)))
    assert plain_of(assembled(events)) == read
    assert plain_of(read_answer(msgspec.json.encode(whole(stream_of(events))))) == read


def plain_of(answer: Answer) -> Any:
    """Without originals, what only one format has, and parts that say nothing."""
    [choice] = answer.choices
    parts = []
    for part in choice.parts:
        if isinstance(part, Other) or _is_nothing(part):
            continue
        if isinstance(part, ToolCall):
            part = replace(part, arguments=_json(part.arguments), cache=None)
        parts.append(replace(part, original=None))
    usage = answer.usage and replace(answer.usage, written_tokens=answer.usage.written_tokens or 0)
    finish = choice.finish
    if finish is Finish.STOP and any(isinstance(part, ToolCall) for part in parts):
        finish = Finish.TOOL_CALLS  # as a call is always told
    return parts, finish, choice.sequence, answer.id, answer.model, usage


def check(stream: list[Json]) -> None:
    """One block is open at a time, the numbers count up, and the message has a beginning and an end."""
    kinds = [event["type"] for event in stream]
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])
    open, count = None, 0
    for event in stream[1:-2]:
        match event["type"]:
            case "content_block_start":
                assert (open, event["index"]) == (None, count)
                open, count = count, count + 1
            case "content_block_delta":
                assert event["index"] == open
            case "content_block_stop":
                assert event["index"] == open
                open = None
            case other:
                raise AssertionError(other)
    assert open is None


@given(openai_chats.streams())
def test_a_stream_of_openais_format_is_a_message(chunks: list[Json]) -> None:
    reader = ChunkReader()
    events = [event for chunk in chunks for event in reader.read(msgspec.json.encode(chunk))]
    stream = stream_of(events)
    check(stream)
    first = next(choice for choice in assembled(events).choices if choice.index == 0)
    unary = json.loads(write_answer(replace(assembled(events), choices=(first,))))
    assert _joined(whole(stream)["content"]) == _joined(unary["content"])


def _joined(blocks: list[Json]) -> Any:
    texts = "".join(block["text"] for block in blocks if block["type"] == "text")
    return texts, [{**block, "id": ""} for block in blocks if block["type"] != "text"]


arguments = st.dictionaries(openai_chats.words, openai_chats.texts | st.integers(0, 9), max_size=2).map(json.dumps)


@st.composite
def mixed(draw: st.DrawFn) -> list[Event]:
    """Pieces of parallel calls, of texts and of thoughts, in any order."""
    calls = draw(st.lists(arguments | st.just(""), min_size=1, max_size=3))
    queues: list[list[Event]] = []
    for call, text in enumerate(calls):
        pieces = [CallDelta(call, piece) for piece in anthropic_messages.split(draw, text)]
        queues.append([CallBegan(call, f"c{call}", "f"), *pieces])
    queues.append([TextDelta(text) for text in draw(st.lists(openai_chats.texts, max_size=3))])
    queues.append([ReasoningDelta(text) for text in draw(st.lists(openai_chats.texts, max_size=2))])
    events: list[Event] = [Began("a1", "m")]
    while queues := [queue for queue in queues if queue]:
        events.append(draw(st.sampled_from(queues)).pop(0))
    return [*events, Finished(Finish.TOOL_CALLS), Used(Usage(7, 3))]


@given(mixed())
def test_pieces_in_any_order_are_blocks_one_after_the_other(events: list[Event]) -> None:
    stream = stream_of(events)
    check(stream)
    content = whole(stream)["content"]
    expected = assembled(events).choices[0].parts
    calls = {part.id: json.loads(part.arguments or "{}") for part in expected if isinstance(part, ToolCall)}
    assert {block["id"]: block["input"] for block in content if block["type"] == "tool_use"} == calls
    texts = "".join(part.text for part in expected if isinstance(part, Text))
    assert "".join(block["text"] for block in content if block["type"] == "text") == texts


names = st.sampled_from(
    ["type", "index", "delta", "content_block", "message", "usage", "text", "thinking", "signature", "partial_json",
     "stop_reason", "stop_sequence", "data", "input", "name", "id", "content", "citation"]
)  # fmt: skip
kinds = st.sampled_from(
    ["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta",
     "message_stop", "text", "tool_use", "thinking", "redacted_thinking", "text_delta", "input_json_delta",
     "thinking_delta", "signature_delta", "citations_delta"]
)  # fmt: skip
nested = st.recursive(
    openai_chats.scalars | kinds | st.just(float("nan")),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=4),
    max_leaves=20,
)
typed = st.builds(lambda kind, more: {**more, "type": kind}, kinds, st.dictionaries(names, nested, max_size=4))


@given(st.lists(typed | nested | st.binary(max_size=30), max_size=6))
def test_odd_events_are_read_as_far_as_they_go(stream: list[Any]) -> None:
    reader, writer, assembly = MessageReader(), MessageWriter(), Assembly()
    events: list[Event] = []
    for each in stream:
        data = each if isinstance(each, bytes) else json.dumps(each).encode()
        try:
            events += reader.read(data)
            assembly.add(data)
        except Unreadable:
            continue
    assembly.answer()
    made = [json.loads(payload) for event in events for payload in writer.write(event)]
    made += [json.loads(payload) for payload in writer.end()]
    check(made)


def test_a_stream_says_what_its_events_say() -> None:
    usage = {"input_tokens": 7, "cache_read_input_tokens": 2, "output_tokens": 1}
    server = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    stream: list[Json] = [
        {"type": "message_start", "message": {"id": "msg_1", "model": "m", "usage": usage, "container": None}},
        {"type": "ping"},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "sig"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": server},
        {"type": "content_block_stop", "index": 1},
        {"type": "content_block_start", "index": 2, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 2, "delta": {"type": "text_delta", "text": "Yes."}},
        {"type": "content_block_stop", "index": 2},
        {"type": "content_block_start", "index": 3, "content_block": {"type": "tool_use", "id": "t", "name": "f"}},
        {"type": "content_block_delta", "index": 3, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
        {"type": "content_block_stop", "index": 3},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    ]
    events = events_of(stream)
    assert [event for event in events if not isinstance(event, Unread)] == [
        Began("msg_1", "m"),
        Used(Usage(9, 1, 2)),
        ReasoningDelta("Hm.", block=0),
        ReasoningDelta(signature="sig", block=0),
        TextDelta("Yes.", block=2),
        CallBegan(0, "t", "f"),
        CallDelta(0, "{}"),
        Finished(Finish.TOOL_CALLS),
        Used(Usage(9, 9, 2)),
    ]
    again = stream_of(events)
    check(again)
    assert [each["content_block"]["type"] for each in again if each["type"] == "content_block_start"] == [
        "thinking",
        "server_tool_use",
        "text",
        "tool_use",
    ]


def test_the_input_is_told_at_the_beginning() -> None:
    """By the provider's report, if it comes first, else by the count that is given."""
    began, text = Began("a1", "m"), TextDelta("x")
    start = stream_of([began, text, Finished(Finish.STOP), Used(Usage(7, 3, 2))], 55)
    assert start[0]["message"]["usage"]["input_tokens"] == 55
    assert start[-2]["usage"] == {
        "input_tokens": 5,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 2,
        "output_tokens": 3,
    }
    assert stream_of([began, Used(Usage(7, 1)), text], 55)[0]["message"]["usage"]["input_tokens"] == 7


def test_usage_that_is_never_reported_is_estimated() -> None:
    end = stream_of([Began("a1", "m"), TextDelta("x" * 40), Finished(Finish.STOP)], 55)[-2]
    assert (end["usage"]["input_tokens"], end["usage"]["output_tokens"]) == (55, 10)


def test_an_answer_without_content_has_a_beginning_and_an_end() -> None:
    stream = stream_of([Began("a1", "m"), Finished(Finish.LENGTH)])
    check(stream)
    assert stream[-2]["delta"] == {"stop_reason": "max_tokens", "stop_sequence": None}


def test_a_sequential_call_is_passed_on_at_once() -> None:
    writer = MessageWriter()
    for event in (CallBegan(0, "a", "f"), CallDelta(0, '{"x":1}')):
        assert writer.write(event)
    opened = [json.loads(payload)["type"] for payload in writer.write(CallBegan(1, "b", "g"))]
    assert opened == ["content_block_stop", "content_block_start"]
    assert writer.write(CallDelta(1, '{"y'))


@pytest.mark.parametrize(
    ("pieces", "input"),
    [
        ((), {}),
        (("", "  "), {}),
        (("null",), {}),
        (("[1", "]"), {"INVALID_JSON": "[1]"}),
        ((" ", '{"a":', "1}"), {"a": 1}),
    ],
)
def test_arguments_are_an_object(pieces: tuple[str, ...], input: Any) -> None:
    events: list[Event] = [CallBegan(0, "a", "f"), *(CallDelta(0, piece) for piece in pieces)]
    assert whole(stream_of(events))["content"][0]["input"] == input


def test_a_refusal_is_text_and_a_reason() -> None:
    message = whole(stream_of([RefusalDelta("No."), Finished(Finish.STOP)]))
    assert message["content"] == [{"type": "text", "text": "No."}]
    assert message["stop_reason"] == "refusal"
