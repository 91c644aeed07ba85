"""A streamed chat completion as events, and back."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from meshd.formats.conversation.answer import Answer, Finish
from meshd.formats.conversation.events import (
    AudioDelta,
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
from meshd.formats.conversation.parts import Original, Text
from meshd.formats.conversation.reading import Unreadable
from meshd.formats.openai.conversation.answer import read_answer, write_answer
from meshd.formats.openai.conversation.chunks import ChunkReader, ChunkWriter
from meshd.formats.openai.conversation.request import read_request
from meshd.formats.openai.stream.assembled import Assembly
from meshd.sdk.provider import Usage
from tests.support.formats import openai_chats


def events_of(chunks: list[dict[str, Any]]) -> list[Event]:
    reader = ChunkReader()
    return [event for chunk in chunks for event in reader.read(msgspec.json.encode(chunk))]


def chunks_of(events: list[Event], writer: ChunkWriter | None = None) -> list[dict[str, Any]]:
    writer = writer or ChunkWriter()
    made = [chunk for event in events for chunk in writer.write(event)]
    return [json.loads(chunk) for chunk in [*made, *writer.end()]]


def answer_of(chunks: list[dict[str, Any]]) -> Answer:
    """Assembled as chunks, and read."""
    assembly = Assembly()
    for chunk in chunks:
        assembly.add(msgspec.json.encode(chunk))
    return read_answer(assembly.answer())


def plain(answer: Answer) -> Answer:
    """With its texts in one, as OpenAI has them, and without originals."""
    choices = [replace(choice, parts=_joined(choice.parts), original=None) for choice in answer.choices]
    return replace(answer, choices=tuple(choices), original=None)


def _joined(parts: tuple[Any, ...]) -> tuple[Any, ...]:
    text = "".join(part.text for part in parts if isinstance(part, Text))
    return (*(replace(part, original=None) for part in parts if not isinstance(part, Text)), text)


@given(openai_chats.streams())
def test_the_assembled_stream_is_the_assembled_answer(chunks: list[dict[str, Any]]) -> None:
    assert plain(assembled(events_of(chunks))) == plain(answer_of(chunks))


@given(openai_chats.streams())
def test_chunks_written_from_events_amount_to_the_same(chunks: list[dict[str, Any]]) -> None:
    events = events_of(chunks)
    again = chunks_of(events)
    assert events_of(again) == events
    assert plain(answer_of(again)) == plain(answer_of(chunks))


indexes = st.integers(0, 1)
said = st.one_of(
    st.builds(TextDelta, openai_chats.words, indexes),
    st.builds(ReasoningDelta, openai_chats.words, st.just("") | openai_chats.words, choice=indexes),
    st.builds(RefusalDelta, openai_chats.words, indexes),
    st.builds(AudioDelta, openai_chats.base64s, openai_chats.words, choice=indexes),
    st.builds(CallBegan, st.integers(0, 1), openai_chats.words, openai_chats.words, st.booleans(), choice=indexes),
    st.builds(CallDelta, st.integers(0, 1), openai_chats.words, indexes),
    st.builds(Finished, st.sampled_from([Finish.STOP, Finish.LENGTH, Finish.TOOL_CALLS, Finish.FILTER]), indexes),
    st.builds(Used, st.builds(Usage, st.integers(0, 99), st.integers(0, 99))),
)


@given(st.lists(said, max_size=12))
def test_events_of_any_format_can_be_written_and_read(events: list[Event]) -> None:
    began: list[Event] = [Began("a1", "m", 5), TextDelta("x")]
    events = began + _in_order(events)
    # The last usage is told last.
    expected = [event for event in events if not isinstance(event, Used)]
    expected += [event for event in events if isinstance(event, Used)][-1:]
    found = events_of(chunks_of(events))
    assert [replace(event, block=0) if isinstance(event, ReasoningDelta) else event for event in found] == expected


def _in_order(events: list[Event]) -> list[Event]:
    """Each call once, before its arguments, numbered as they come, and with an id of its own."""
    numbers: dict[tuple[int, int], int] = {}
    kept: list[Event] = []
    for event in events:
        if isinstance(event, CallBegan) and (event.choice, event.call) not in numbers:
            number = sum(choice == event.choice for choice, _ in numbers)
            numbers[event.choice, event.call] = number
            kept.append(replace(event, call=number, id=f"call_{number}"))
        elif isinstance(event, CallDelta) and (event.choice, event.call) in numbers:
            kept.append(replace(event, call=numbers[event.choice, event.call]))
        elif not isinstance(event, CallBegan | CallDelta):
            kept.append(event)
    return kept


names = st.sampled_from(
    ["choices", "delta", "content", "tool_calls", "function_call", "audio", "refusal", "type", "text", "usage", "id",
     "index", "finish_reason", "logprobs", "reasoning_content", "reasoning_details", "function", "arguments", "name"]
)  # fmt: skip
nested = st.recursive(
    openai_chats.scalars | st.just(float("nan")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5),
    max_leaves=25,
)


@given(st.lists(st.dictionaries(names, nested, max_size=4) | nested | st.binary(max_size=30), max_size=4))
def test_odd_chunks_are_read_as_far_as_they_go(chunks: list[Any]) -> None:
    reader, writer = ChunkReader(), ChunkWriter()
    events: list[Event] = []
    for chunk in chunks:
        try:
            events += reader.read(chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode())
        except Unreadable:
            continue
    for event in events:
        writer.write(event)
    write_answer(assembled(events))


def test_a_stream_says_what_its_chunks_say() -> None:
    head = {"id": "a1", "object": "chat.completion.chunk", "created": 5, "model": "m", "system_fingerprint": "fp"}
    function = {"name": "f", "arguments": ""}
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "Hm."},
        {"content": "Yes."},
        {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
    ]
    chunks = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    chunks.append({**head, "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}})
    events = events_of(chunks)
    assert [event for event in events if not isinstance(event, Unread)] == [
        Began("a1", "m", 5),
        ReasoningDelta("Hm."),
        TextDelta("Yes."),
        CallBegan(0, "c1", "f"),
        CallDelta(0, "{}"),
        Finished(Finish.TOOL_CALLS),
        Used(Usage(7, 3)),
    ]
    assert [json.loads(event.original.json) for event in events if isinstance(event, Unread)] == [
        {"system_fingerprint": "fp"}
    ]


def test_calls_without_an_index_are_told_apart_by_their_ids() -> None:
    """As some servers send them, all at once."""
    calls = [{"id": id, "function": {"name": "f", "arguments": "{}"}} for id in ("c1", "c2")]
    events = events_of([{"id": "a1", "model": "m", "choices": [{"delta": {"tool_calls": calls}}]}])
    assert events[1:] == [CallBegan(0, "c1", "f"), CallDelta(0, "{}"), CallBegan(1, "c2", "f"), CallDelta(1, "{}")]


def test_an_app_gets_usage_and_functions_as_it_asked() -> None:
    asked = read_request(b'{"model": "m", "messages": [], "functions": [{"name": "f"}]}')
    call: list[Event] = [Began("a1", "m"), CallBegan(0, "c1", "f"), CallDelta(0, "{}"), Used(Usage(7, 3))]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks_of(call, ChunkWriter(asked))]
    assert deltas == [
        {"role": "assistant", "function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": "{}"}},
    ]


def test_another_formats_events_without_a_counterpart_are_left_out() -> None:
    assert ChunkWriter().write(Unread(Original("anthropic", b"{}"))) == []


def test_what_is_nested_too_deeply_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        ChunkReader().read(b'{"choices": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")
