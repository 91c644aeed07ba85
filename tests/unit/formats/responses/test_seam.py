"""Another attempt continues a broken stream: the app's package reads one response."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState  # noqa: PLC2701 - the SDK's own reader
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from meshd.formats.responses.seam import EventSeam
from meshd.formats.responses.wire import Events
from meshd.sdk.provider import StreamEvent, Usage
from tests.support.formats import responses_api

adapter: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
WHOLE = Usage(7, 9)


def message(id: str, text: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "message", "id": id, "role": "assistant", "status": "completed", "content": [part]}


def thought(id: str, text: str) -> dict[str, Any]:
    return {"type": "reasoning", "id": id, "summary": [{"type": "summary_text", "text": text}]}


def call(id: str, **more: Any) -> dict[str, Any]:
    made = {"type": "function_call", "id": id, "call_id": f"call_{id}", "name": "f", "arguments": '{"a":1}'}
    return {**made, "status": "completed", **more}


def stream(id: str, *output: dict[str, Any]) -> list[dict[str, Any]]:
    response = {
        "id": id,
        "object": "response",
        "created_at": 5,
        "model": id,
        "status": "completed",
        "output": list(output),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 7,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 3,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 10,
        },
    }
    return responses_api.streamed(response)


def joined(first: list[dict[str, Any]], second: list[dict[str, Any]], held: int = 0) -> list[dict[str, Any]]:
    """What the app gets: the first stream until it broke, and the second. held: the events of the second whose text is
    only given at its end, as while it may be a repetition."""
    text = "".join(event["delta"] for event in first if event["type"] == "response.output_text.delta")
    payloads = [json.dumps(event).encode() for event in first]
    seam = EventSeam(payloads[0], payloads[-1], text)
    reading = Events()
    late: list[StreamEvent] = []
    for n, payload in enumerate(second):
        event, _ = reading.read(json.dumps(payload).encode(), b"")
        if event.finish_reason is not None or (event.text and n < held):
            late.append(event)
        elif not event.reasoning:
            text = event.text
            if text:  # what was held is given with it
                text, late = "".join(each.text for each in late) + text, []
            payloads += sent(seam, seam.event(event, text, None))
    if texts := "".join(event.text for event in late if event.finish_reason is None):
        payloads += sent(seam, seam.text(texts))
    for event in late:
        if event.finish_reason is not None:
            payloads += sent(seam, seam.event(event, "", WHOLE))
    return checked(payloads)


def sent(seam: EventSeam, payload: bytes | None) -> list[bytes]:
    return [] if payload is None else [*seam.before(), payload]


def checked(payloads: list[bytes]) -> list[dict[str, Any]]:
    state: Any = ResponseStreamState(input_tools=omit, text_format=omit)
    for number, payload in enumerate(payloads):
        event = adapter.validate_json(payload)
        assert event.sequence_number == number
        state.handle_event(event)
    return [json.loads(payload) for payload in payloads]


def texts(events: list[dict[str, Any]]) -> tuple[str, str, str]:
    """By deltas, by items, and in the last event."""
    deltas = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    both = [
        "".join(part["text"] for item in items if item["type"] == "message" for part in item["content"])
        for items in (done, events[-1]["response"]["output"])
    ]
    return deltas, both[0], both[1]


def begun(first: list[dict[str, Any]]) -> int:
    return next(n for n, event in enumerate(first) if event["type"].endswith(".delta")) + 1


@given(st.booleans(), st.booleans(), st.integers(0), st.integers(0, 20), st.booleans())
def test_a_broken_stream_and_its_continuation_are_one(
    thought_first: bool, thought_again: bool, at: int, held: int, called: bool
) -> None:
    """Broken after any event that was more than its beginning."""
    first = stream("resp_1", *([thought("rs_1", "Hm")] if thought_first else []), message("msg_1", "Once upon"))
    rest = [thought("rs_2", "And")] if thought_again else []
    second = stream("resp_2", *rest, message("msg_2", " a time."), *([call("fc_2")] if called else []))
    cut = begun(first) + at % (len(first) - begun(first) - 1)
    events = joined(first[:cut], second, 0 if called else held)
    got = first[:cut]
    had = "".join(event["delta"] for event in got if event["type"] == "response.output_text.delta")
    deltas, done, last = texts(events)
    assert deltas == had + " a time."
    assert " a time." in done
    assert last.endswith(" a time.")
    whole = events[-1]["response"]
    assert (whole["id"], whole["model"], whole["status"]) == ("resp_1", "resp_1", "completed")
    assert (whole["usage"]["input_tokens"], whole["usage"]["output_tokens"]) == (7, 9)
    assert [item["id"] for item in whole["output"] if item["type"] == "function_call"] == [
        item["id"] for item in whole["output"] if item.get("call_id") == "call_fc_2"
    ]


def test_the_open_text_goes_into_one_message() -> None:
    first = stream("resp_1", thought("rs_1", "Hm"), message("msg_1", "Once upon"))
    cut = max(n for n, event in enumerate(first) if event["type"] == "response.output_text.delta") + 1
    events = joined(first[:cut], stream("resp_2", message("msg_2", " a time.")))
    assert {event["item_id"] for event in events if event["type"] == "response.output_text.delta"} == {"msg_1"}
    assert texts(events) == ("Once upon a time.",) * 3
    [item] = events[-1]["response"]["output"]
    assert (item["id"], item["content"][0]["text"]) == ("msg_1", "Once upon a time.")


def test_a_call_after_the_text_keeps_its_namespace() -> None:
    first = stream("resp_1", message("msg_1", "Once upon"))
    second = stream("resp_2", message("msg_2", "."), call("fc_2", namespace="mcp__shop"))
    last = joined(first[:5], second)[-1]["response"]["output"][-1]
    assert (last["name"], last["namespace"], last["arguments"]) == ("f", "mcp__shop", '{"a":1}')


@pytest.mark.parametrize("first", [b"{}", b"[]", b'{"type":"x","sequence_number":"y","item_id":5,"output_index":null}'])
def test_odd_events_are_joined_as_far_as_they_go(first: bytes) -> None:
    seam = EventSeam(first)
    assert seam.event(StreamEvent(b"[1]"), "", None) is None
    assert json.loads(seam.text("x"))["delta"] == "x"
    assert seam.before()
