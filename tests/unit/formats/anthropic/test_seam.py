"""Another attempt's events continue the app's stream: blocks open and close in turn, wherever the first one broke."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.formats.anthropic.format import ANTHROPIC
from meshd.formats.anthropic.stream.assembled import Assembly
from meshd.formats.anthropic.wire import read_event
from meshd.formats.errors.not_answers import NotAnEvent
from meshd.formats.protocol import Seam
from meshd.operations.chat import CHAT
from meshd.sdk.provider import StreamEvent, Usage
from tests.support.formats import anthropic_messages

Json = dict[str, Any]


def encoded(event: Json) -> bytes:
    return msgspec.json.encode(event)


def seam_after(stream: list[Json]) -> Seam:
    return ANTHROPIC.app.seam(encoded(stream[0]), CHAT, encoded(stream[-1]))


def events_of(stream: list[Json]) -> list[StreamEvent]:
    events = []
    for each in stream:
        try:
            events.append(read_event(encoded(each)).event)
        except NotAnEvent:
            continue
    return events


def continued(first: list[Json], second: list[Json], usage: Usage | None = None) -> list[Json]:
    """What the app gets of the second stream."""
    seam = seam_after(first)
    made: list[Json] = []
    for event in events_of(second):
        data = seam.event(event, event.text, usage if event.usage else None)
        if data is not None:
            made += [json.loads(each) for each in (*seam.before(), data)]
    return made


def start() -> Json:
    return {"type": "message_start", "message": {"id": "msg_2", "content": [], "usage": {"input_tokens": 1}}}


def block(index: int, kind: str, **fields: Any) -> Json:
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind, **fields}}


def delta(index: int, kind: str, **fields: Any) -> Json:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def stop(index: int) -> Json:
    return {"type": "content_block_stop", "index": index}


END = [
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
]
REST = [start(), block(0, "text", text=""), delta(0, "text_delta", text=" upon"), stop(0), *END]


def test_the_rest_continues_the_open_text() -> None:
    first = [start(), block(0, "text", text=""), delta(0, "text_delta", text="Once")]
    assert continued(first, REST, Usage(7, 9)) == [
        delta(0, "text_delta", text=" upon"),
        stop(0),
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {
                "input_tokens": 7,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "output_tokens": 9,
            },
        },
        {"type": "message_stop"},
    ]


@pytest.mark.parametrize(
    ("last", "before"),
    [
        (delta(0, "thinking_delta", thinking="Hm."), [stop(0), block(1, "text", text="")]),
        (delta(0, "signature_delta", signature="s"), [stop(0), block(1, "text", text="")]),
        (stop(2), [block(3, "text", text="")]),
        (block(1, "text", text=""), []),
    ],
)
def test_a_block_for_the_text_is_opened_if_none_is(last: Json, before: list[Json]) -> None:
    made = continued([start(), last], REST)
    at = before[-1]["index"] if before else 1
    assert made[: len(before) + 2] == [*before, delta(at, "text_delta", text=" upon"), stop(at)]


def test_later_blocks_have_the_next_numbers_and_thoughts_are_left_out() -> None:
    first = [start(), delta(1, "text_delta", text="Once")]
    second = [
        start(),
        block(0, "thinking", thinking=""),
        delta(0, "thinking_delta", thinking="Hm."),
        stop(0),
        block(1, "text", text=""),
        delta(1, "text_delta", text=" upon"),
        stop(1),
        block(2, "tool_use", id="t", name="f", input={}),
        delta(2, "input_json_delta", partial_json="{}"),
        stop(2),
        block(3, "text", text=""),
        delta(3, "text_delta", text="."),
        stop(3),
        *END,
    ]
    assert continued(first, second)[:-2] == [
        delta(1, "text_delta", text=" upon"),
        stop(1),
        block(2, "tool_use", id="t", name="f", input={}),
        delta(2, "input_json_delta", partial_json="{}"),
        stop(2),
        block(3, "text", text=""),
        delta(3, "text_delta", text="."),
        stop(3),
    ]


def test_text_that_was_held_back_comes_before_what_releases_it() -> None:
    seam = seam_after([start(), delta(0, "text_delta", text="Once")])
    call = read_event(encoded(block(1, "tool_use", id="t", name="f"))).event
    data = seam.event(call, " upon", None)
    assert data is not None
    assert [json.loads(each) for each in (*seam.before(), data)] == [
        delta(0, "text_delta", text=" upon"),
        stop(0),
        block(1, "tool_use", id="t", name="f"),
    ]
    assert json.loads(seam.text(".")) == delta(2, "text_delta", text=".")
    assert [json.loads(each)["type"] for each in seam.before()] == ["content_block_stop", "content_block_start"]


def test_what_a_translated_stream_says_only_by_its_events_is_told_too() -> None:
    """Of several payloads for one event of a provider, one has what the event held, and the finish reason."""
    seam = seam_after([start(), delta(0, "text_delta", text="Once")])
    told = [
        stop(0),
        block(1, "tool_use", id="t", name="f", input={}),
        delta(1, "input_json_delta", partial_json="{}"),
        stop(1),
        block(2, "tool_use", id="u", name="g", input={}),
        delta(2, "input_json_delta", partial_json="{}"),
    ]
    events = [StreamEvent(encoded(each)) for each in told]
    events += [StreamEvent(encoded(stop(2)), finish_reason="tool_use"), *(StreamEvent(encoded(each)) for each in END)]
    made = []
    for event in events:
        data = seam.event(event, "", None)
        made += [json.loads(each) for each in (*seam.before(), *([] if data is None else [data]))]
    assert made == [*told, stop(2), *END]


@given(anthropic_messages.streams(), anthropic_messages.streams(), st.integers(1, 40))
def test_wherever_a_stream_breaks_the_app_gets_one_message(
    first: tuple[list[Json], Json], second: tuple[list[Json], Json], at: int
) -> None:
    begun = [event for event in first[0][:-2] if event["type"] != "ping"][:at]
    rest = continued(begun, second[0])
    open_: int | None = None
    count = 0
    assembly = Assembly()
    for event in (*begun, *rest):
        assembly.add(encoded(event))
        match event["type"]:
            case "content_block_start":
                assert (open_, event["index"]) == (None, count)
                open_, count = count, count + 1
            case "content_block_delta":
                assert event["index"] == open_
            case "content_block_stop":
                assert event["index"] == open_
                open_ = None
            case "message_delta" | "message_stop":
                assert open_ is None
    message = json.loads(assembly.answer())
    told = "".join(event["delta"]["text"] for event in begun if event.get("delta", {}).get("type") == "text_delta")
    text = told + "".join(event.text for event in events_of(second[0]))
    assert "".join(each["text"] for each in message["content"] if each["type"] == "text") == text
