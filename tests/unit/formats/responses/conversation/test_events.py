"""A streamed response as neutral events, and neutral events as a streamed response."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState  # noqa: PLC2701 - the SDK's own reader
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from meshd.formats.conversation.answer import Finish
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
from meshd.formats.conversation.reading import Unreadable
from meshd.formats.conversation.request import Conversation, Tool
from meshd.formats.openai.conversation.chunks import ChunkReader, ChunkWriter
from meshd.formats.responses.conversation.answer import read_answer, write_answer
from meshd.formats.responses.conversation.event_reader import EventReader
from meshd.formats.responses.conversation.event_writer import EventWriter
from meshd.sdk.provider import Usage
from modelmesh.errors import NoActiveModelError, RateLimitError
from tests.support.formats import openai_chats, responses_api
from tests.unit.formats.responses.conversation.test_answer import meaning

adapter: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def read(payloads: Iterable[dict[str, Any]]) -> list[Event]:
    reader = EventReader()
    return [event for payload in payloads for event in reader.read(msgspec.json.encode(payload))]


def written(events: Iterable[Event], asked: Conversation | None = None) -> list[dict[str, Any]]:
    writer = EventWriter(asked)
    payloads = [payload for event in events for payload in writer.write(event)] + writer.end()
    return checked(payloads)


def checked(payloads: list[bytes]) -> list[dict[str, Any]]:
    """As OpenAI's package reads them: each of its type, numbered, about items that have begun and have not changed."""
    state: Any = ResponseStreamState(input_tools=omit, text_format=omit)
    for number, payload in enumerate(payloads):
        event = adapter.validate_json(payload)
        assert event.sequence_number == number
        state.handle_event(event)
    return [json.loads(payload) for payload in payloads]


@given(responses_api.responses(), st.integers(1, 5))
def test_a_stream_is_the_same_answer_as_in_one_piece(response: dict[str, Any], size: int) -> None:
    events = read(responses_api.streamed(response, size))
    assert isinstance(events[0], Began)
    whole = read_answer(msgspec.json.encode(response))
    made = assembled(events)
    assert meaning(made) == meaning(whole)
    assert (made.id, made.model, made.created, made.usage) == (whole.id, whole.model, whole.created, whole.usage)


@given(responses_api.responses())
def test_an_answer_without_deltas_is_read_from_its_items(response: dict[str, Any]) -> None:
    events = [event for event in responses_api.streamed(response) if not event["type"].endswith(".delta")]
    assert meaning(assembled(read(events))) == meaning(read_answer(msgspec.json.encode(response)))
    last = [event for event in events if "response" in event]
    assert meaning(assembled(read(last))) == meaning(read_answer(msgspec.json.encode(response)))


@given(responses_api.responses(), st.integers(1, 5))
def test_what_was_read_is_written_again(response: dict[str, Any], size: int) -> None:
    events = read(responses_api.streamed(response, size))
    made = written(events)
    assert meaning(assembled(read(made))) == meaning(assembled(events))


texts = st.text('ab\n"\\é😀', max_size=5)
mixed = st.lists(
    st.one_of(
        st.builds(TextDelta, texts, st.just(0), st.integers(0, 2)),
        st.builds(ReasoningDelta, texts, st.just("") | openai_chats.words, block=st.integers(0, 2)),
        st.builds(RefusalDelta, texts),
        st.builds(CallBegan, st.integers(0, 3), st.just("") | openai_chats.words, st.sampled_from(["f", "g"])),
        st.builds(CallDelta, st.integers(0, 3), texts | st.sampled_from(['{"input"', ': "', 'a\\n"}'])),
        st.builds(AudioDelta, texts),
        st.builds(Used, st.builds(Usage, st.integers(0, 9), st.integers(0, 9))),
        st.builds(Finished, st.sampled_from(list(Finish))),
        st.builds(TextDelta, texts, st.just(1)),
    ),
    max_size=12,
)


@given(st.just([]) | st.just([Began("a", "m", 5)]), mixed)
def test_any_events_make_a_stream_that_the_package_reads(began: list[Event], events: list[Event]) -> None:
    """Also without the first event, with calls whose pieces come in turns, and with several texts."""
    asked = Conversation("m", (), (Tool("f"), Tool("g", custom=True)))
    seen: set[int] = set()
    events = [e for e in events if not (isinstance(e, CallBegan) and (e.call in seen or seen.add(e.call)))]
    made = written([*began, *events], asked)
    last = made[-1]
    assert last["type"] == f"response.{last['response']['status']}"
    done = [event["item"] for event in made if event["type"] == "response.output_item.done"]
    assert sorted(map(json.dumps, last["response"]["output"])) == sorted(map(json.dumps, done))


def without_logprobs(response: dict[str, Any]) -> dict[str, Any]:
    """A stream has them beside each text, an answer of another format beside all. An empty text is none."""
    output = []
    for item in response["output"]:
        content = [{**part, "logprobs": []} for part in item.get("content", ()) if part.get("text") != ""]
        if item["type"] != "message" or content:
            output.append({**item, "content": content})
    ids = {item["id"]: str(n) for n, item in enumerate(output)}
    return {**response, "id": "", "output": [{**item, "id": ids[item["id"]]} for item in output]}


@given(openai_chats.streams())
def test_a_chats_stream_is_the_same_answer_as_its_response(chunks: list[dict[str, Any]]) -> None:
    """Of the first choice: this API has only one."""
    reader = ChunkReader()
    events = [event for chunk in chunks for event in reader.read(msgspec.json.encode(chunk))]
    first = [event for event in events if getattr(event, "choice", 0) in (0, None)]
    made = written(first)
    whole = assembled(first)
    unary = json.loads(write_answer(whole))
    streamed = made[-1]["response"]
    assert without_logprobs(streamed) == without_logprobs(unary)
    assert meaning(assembled(read(made)), calls=True) == meaning(whole, calls=True)


@given(responses_api.responses())
def test_a_stream_of_responses_is_the_same_chat(response: dict[str, Any]) -> None:
    events = read(responses_api.streamed(response))
    writer, reader = ChunkWriter(), ChunkReader()
    chunks = [chunk for event in events for chunk in writer.write(event)] + writer.end()
    again = [event for chunk in chunks for event in reader.read(chunk)]
    assert said(again) == said(events)


def said(events: list[Event]) -> Any:
    """A chat's message keeps each kind apart."""
    answer = assembled(events)
    parts, *rest = meaning(answer, calls=True)
    kinds: dict[type, list[Any]] = {}
    for part in parts:
        kinds.setdefault(type(part), []).append(part)
    joined = {kind: "".join(getattr(part, "text", "") for part in found) for kind, found in kinds.items()}
    calls = [(part.id, part.arguments) for part in kinds.get(type(None), []) or parts if hasattr(part, "arguments")]
    return joined, calls, rest[0], rest[2]


names = st.sampled_from(
    ["type", "delta", "item", "response", "output_index", "content_index", "summary_index", "item_id", "part", "text",
     "arguments", "output", "id", "call_id", "name", "summary", "status", "usage", "created_at", "logprobs", "content"]
)  # fmt: skip
kinds = st.sampled_from(
    ["response.created", "response.completed", "response.incomplete", "response.failed", "response.output_text.delta",
     "response.output_item.added", "response.output_item.done", "response.function_call_arguments.delta", "reasoning",
     "response.reasoning_summary_text.delta", "response.reasoning_summary_part.added", "response.refusal.delta",
     "function_call", "custom_tool_call", "message", "response.web_search_call.searching", "error", "\ud83d"]
)  # fmt: skip
nested = st.recursive(
    openai_chats.scalars | kinds | st.just(float("nan")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5),
    max_leaves=15,
)
odd_event = st.builds(lambda kind, fields: {"type": kind, **fields}, kinds, st.dictionaries(names, nested, max_size=5))


@given(st.lists(odd_event | nested, max_size=4))
def test_odd_events_are_read_as_far_as_they_go(payloads: list[Any]) -> None:
    reader, writer, chat = EventReader(), EventWriter(), ChunkWriter()
    for payload in payloads:
        try:
            events = reader.read(json.dumps(payload).encode())
        except Unreadable:
            assert not isinstance(payload, dict)
            continue
        for event in events:
            writer.write(event)
            chat.write(event)
    writer.end()


def test_the_events_come_in_the_order_of_the_api() -> None:
    events = [
        Began("chatcmpl-1", "m", 5),
        ReasoningDelta("Hm"),
        TextDelta("Ye"),
        TextDelta("s."),
        CallBegan(0, "a", "f"),
        CallDelta(0, "{}"),
        Finished(Finish.TOOL_CALLS),
        Used(Usage(7, 3)),
    ]
    assert [event["type"].removeprefix("response.") for event in written(events)] == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]


def test_a_part_that_was_cut_off_says_so() -> None:
    last = written([TextDelta("Y"), Finished(Finish.LENGTH)])[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert last["response"]["output"][0]["status"] == "incomplete"


@given(st.text(max_size=20), st.lists(st.integers(1, 5), max_size=30), st.booleans())
def test_the_text_of_a_custom_tool_comes_out_of_a_functions_arguments(text: str, cuts: list[int], ascii: bool) -> None:
    """In pieces cut at any character of the JSON, escapes and surrogate pairs too."""
    arguments = json.dumps({"input": text}, ensure_ascii=ascii)
    pieces, at = [], 0
    for size in [*cuts, len(arguments)]:
        pieces.append(arguments[at : at + size])
        at += size
    asked = Conversation("m", (), (Tool("g", custom=True),))
    made = written([CallBegan(0, "a", "g"), *(CallDelta(0, piece) for piece in pieces if piece)], asked)
    [call] = made[-1]["response"]["output"]
    assert (call["type"], call["input"]) == (
        "custom_tool_call",
        text.encode("utf-16", "surrogatepass").decode("utf-16"),
    )
    deltas = [event["delta"] for event in made if event["type"] == "response.custom_tool_call_input.delta"]
    assert "".join(deltas) == call["input"]


def test_the_text_of_a_custom_tool_does_not_wait_for_its_end() -> None:
    writer = EventWriter(Conversation("m", (), (Tool("g", custom=True),)))
    writer.write(CallBegan(0, "a", "g"))
    [payload] = writer.write(CallDelta(0, '{"input": "*** Begin'))
    assert json.loads(payload)["delta"] == "*** Begin"


def test_arguments_of_any_other_form_are_the_text() -> None:
    asked = Conversation("m", (), (Tool("g", custom=True),))
    for pieces, text in [
        (['{"patch"', ': "x"}'], '{"patch": "x"}'),
        (["x" * 100, "y"], "x" * 100 + "y"),
        (['{"input": "x'], "x"),
    ]:
        made = written([CallBegan(0, "a", "g"), *(CallDelta(0, piece) for piece in pieces)], asked)
        assert made[-1]["response"]["output"][0]["input"] == text


def test_an_error_in_the_middle_fails_the_response() -> None:
    writer = EventWriter()
    payloads = writer.write(Began("resp_1")) + writer.write(TextDelta("Y"))
    last = checked([*payloads, *writer.failed(NoActiveModelError("none is left"))])[-1]
    assert (last["type"], last["response"]["id"], last["response"]["status"]) == ("response.failed", "resp_1", "failed")
    assert last["response"]["error"] == {"code": "server_error", "message": "none is left"}
    assert (
        json.loads(EventWriter().failed(RateLimitError("slow"))[-1])["response"]["error"]["code"]
        == "rate_limit_exceeded"
    )


def test_what_only_this_api_has_is_unread() -> None:
    searched = {"type": "response.web_search_call.searching", "output_index": 0, "item_id": "ws_1"}
    assert [type(event) for event in read([searched])] == [Unread]


@pytest.mark.parametrize("data", [b"", b"[1]", b"5", b"<html>"])
def test_what_is_no_object_is_unreadable(data: bytes) -> None:
    with pytest.raises(Unreadable):
        EventReader().read(data)
