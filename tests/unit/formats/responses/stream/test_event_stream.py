"""The events of a response as a provider sends them: passed as they are, and never told as whole if they are not."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshd.formats.errors.transport_failures import failure_from_exception
from meshd.formats.responses.stream.assembled import Assembly
from meshd.formats.responses.stream.event_stream import EventReader
from meshd.formats.responses.wire import type_of
from meshd.host import clock
from meshd.sdk.provider import FailureKind, ProviderFailure, RateLimits, StreamEvent, Usage
from tests.support.formats import openai_chats, responses_api
from tests.support.formats.pieces import Body

BEATS = st.sampled_from(
    [b"", b":\n\n", b": keepalive\n\n", b"data:\n\n", b"data: ping\n\n", b"event: ping\ndata: {}\n\n", b"retry: 30\n\n",
     b'event: keepalive\ndata: {"type":"keepalive","sequence_number":3}\n\n']
)  # fmt: skip
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 5,
    "model": "m",
    "status": "completed",
    "output": [
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm"}]},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Yes, it is.", "annotations": [], "logprobs": []}],
        },
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "c1",
            "name": "f",
            "arguments": '{"a":1}',
            "status": "completed",
        },
    ],
    "usage": {
        "input_tokens": 7,
        "input_tokens_details": {"cached_tokens": 2},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 10,
    },
}


class Got(NamedTuple):
    events: list[StreamEvent]
    failure: ProviderFailure | None
    plain: bytes | None

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events)


def read(stream: bytes, cuts: list[int] | tuple[int, ...] = (), *, breaks: bool = False, kind: bool = True) -> Got:
    async def collect() -> Got:
        body: Any = Body(stream, cuts, breaks=breaks)
        reader = EventReader(
            body,
            started=clock.now(),
            first_token=9.0,
            idle=9.0,
            total=9.0,
            where="here",
            event_stream=kind,
            limits=RateLimits(1),
            failed=lambda exc: failure_from_exception(exc, "here", 9.0),
        )
        events: list[StreamEvent] = []
        try:
            while not reader.done:
                events += await reader.more()
        except ProviderFailure as failure:
            return Got(events, failure, reader.plain)
        finally:
            reader.close()
        return Got(events, None, reader.plain)

    return asyncio.run(collect())


def framed(payloads: list[dict[str, Any]], named: bool = True) -> list[bytes]:
    events = []
    for payload in payloads:
        name = f"event: {payload['type']}\n".encode() if named else b""
        events.append(name + b"data: " + json.dumps(payload).encode() + b"\n\n")
    return events


STREAM = framed(responses_api.streamed(RESPONSE))


def texts_of(response: dict[str, Any]) -> str:
    parts = [part for item in response["output"] if item["type"] == "message" for part in item["content"]]
    return "".join(part.get("text", "") for part in parts)


@given(responses_api.responses(), st.lists(st.integers(0), max_size=6), st.booleans(), BEATS)
@settings(deadline=None)
def test_a_stream_passes_as_it_is(response: dict[str, Any], cuts: list[int], named: bool, beat: bytes) -> None:
    payloads = responses_api.streamed(response)
    got = read(beat.join([b"", *framed(payloads, named)]), cuts)
    assert got.failure is None
    passed = [json.loads(event.data) for event in got.events]
    assert [event for event in passed if event["type"] != "keepalive"] == payloads
    assert got.text == texts_of(response)
    assert got.events[-1].finish_reason in ("stop", "length", "content_filter", "tool_calls")
    assert got.events[0].limits is not None


def test_it_is_the_same_however_it_is_split() -> None:
    stream = b"".join(STREAM)
    whole = read(stream)
    for at in range(1, len(stream)):
        assert read(stream, [at]).events == whole.events


def test_what_was_generated_is_content_and_nothing_before() -> None:
    got = read(b"".join(STREAM))
    kinds = [(type_of(event.data).decode().removeprefix("response."), event) for event in got.events]
    content = [kind for kind, event in kinds if event.content]
    assert content == [
        *["reasoning_summary_text.delta"],
        *["output_text.delta"] * 4,
        "output_item.added",
        *["function_call_arguments.delta"] * 3,
    ]
    assert "".join(event.reasoning for event in got.events) == "Hm"
    assert "".join(event.text for event in got.events) == "Yes, it is."
    assert "".join(event.extra for event in got.events).endswith('{"a":1}')
    last = got.events[-1]
    assert (last.finish_reason, last.usage) == ("tool_calls", Usage(7, 3, 2, None, (), 1))


@given(st.integers(0), st.booleans())
@settings(deadline=None)
def test_a_cut_is_never_told_as_whole(at: int, breaks: bool) -> None:
    """At any byte before the last event has come."""
    stream = b"".join(STREAM)
    end = len(stream) - len(STREAM[-1]) + STREAM[-1].rindex(b"}")
    got = read(stream[: at % end], breaks=breaks)
    assert got.failure is not None
    if any(event.content and not event.hidden for event in got.events):
        assert got.failure.kind is FailureKind.STREAM_CUT
    assert "Yes, it is.".startswith(got.text)


def test_after_the_last_event_nothing_is_waited_for() -> None:
    assert read(b"".join(STREAM) + b"data: [DONE]\n\n").failure is None
    assert read(b"".join(STREAM), breaks=True).failure is None


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"type": "error", "code": "rate_limit_exceeded", "message": "slow down"}, FailureKind.RATE_LIMIT),
        ({"type": "error", "error": {"code": "server_error", "message": "it broke"}}, FailureKind.BAD_ANSWER),
        (
            {
                "type": "response.failed",
                "response": {"status": "failed", "error": {"code": "server_error", "message": "x"}},
            },
            FailureKind.BAD_ANSWER,
        ),
        (
            {
                "type": "response.failed",
                "response": {"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "slow down"}},
            },
            FailureKind.RATE_LIMIT,
        ),
        ({"type": "response.failed", "response": {"status": "failed", "error": None}}, FailureKind.BAD_ANSWER),
        ({"type": "response.failed"}, FailureKind.BAD_ANSWER),
        ({"type": "response.cancelled", "response": {}}, FailureKind.BAD_ANSWER),
        (
            {"type": "response.completed", "response": {"status": "failed", "error": {"message": "x"}}},
            FailureKind.BAD_ANSWER,
        ),
        ({"error": {"message": "it broke"}}, FailureKind.BAD_ANSWER),
        (
            {"error": {"code": "context_length_exceeded", "message": "Your input exceeds the context window"}},
            FailureKind.CONTEXT_LENGTH,
        ),
    ],
)
@pytest.mark.parametrize("after", [0, 2, len(STREAM) - 1])
def test_an_error_is_a_failure(event: dict[str, Any], kind: FailureKind, after: int) -> None:
    told = b"data: " + json.dumps(event).encode() + b"\n\n"
    got = read(b"".join([*STREAM[:after], told, *STREAM[after:]]))
    assert got.failure is not None
    assert got.failure.kind is kind


def test_the_usage_of_a_failure_is_reported() -> None:
    response = {"status": "failed", "error": {"message": "x"}, "usage": RESPONSE["usage"]}
    got = read(b"data: " + json.dumps({"type": "response.failed", "response": response}).encode() + b"\n\n")
    assert got.failure is not None
    assert got.failure.usage == Usage(7, 3, 2, None, (), 1)


def test_a_tool_of_the_provider_may_fail() -> None:
    failed = framed([{"type": "response.mcp_call.failed", "item_id": "mcp_1", "output_index": 0, "sequence_number": 9}])
    got = read(b"".join([*STREAM[:-1], *failed, STREAM[-1]]))
    assert got.failure is None
    assert b"mcp_call.failed" in got.events[-2].data


@pytest.mark.parametrize(
    ("status", "reason", "finish"),
    [
        ("incomplete", "max_output_tokens", "length"),
        ("incomplete", "content_filter", "content_filter"),
        (None, None, "length"),
    ],
)
def test_an_incomplete_answer_is_whole(status: str | None, reason: str | None, finish: str) -> None:
    response: dict[str, Any] = {"id": "resp_1", "output": [], "incomplete_details": reason and {"reason": reason}}
    if status:
        response["status"] = status
    last = framed([{"type": "response.incomplete", "response": response}])
    got = read(b"".join([*STREAM[:-1], *last]))
    assert got.failure is None
    assert got.events[-1].finish_reason == finish


def test_what_comes_only_at_the_end_is_content() -> None:
    """Of servers without deltas, or without items."""
    got = read(b"".join(event for event in STREAM if b".delta" not in event))
    assert (got.text, got.failure) == ("Yes, it is.", None)
    got = read(STREAM[0] + STREAM[-1])
    assert (got.text, got.failure) == ("Yes, it is.", None)
    assert got.events[-1].content


def test_the_kind_may_be_only_in_the_name() -> None:
    bare = [event.replace(b'"type": "response.', b'"x": "response.', 1) for event in STREAM]
    got = read(b"".join(bare))
    assert (got.text, got.failure) == ("Yes, it is.", None)
    assert all(json.loads(event.data)["type"].startswith("response.") for event in got.events)


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\n\n',
        b'data: {"delta":"x"}\n\n',
        b'data: {"type":"response.output_text.delta","delta":"x"\n\n',
        b"data: <html>\n\n",
    ],
)
def test_an_event_that_cannot_be_read_breaks_the_stream(event: bytes) -> None:
    got = read(b"".join([*STREAM[:8], event, *STREAM[8:]]))
    assert got.failure is not None


@pytest.mark.parametrize("body", [b"", b"data: [DONE]\n\n", b": hi\n\n"])
def test_an_empty_stream_is_no_answer(body: bytes) -> None:
    got = read(body)
    assert got.failure is not None
    assert got.failure.kind is FailureKind.BAD_ANSWER


def test_a_unary_answer_instead_of_a_stream_is_events() -> None:
    body = json.dumps(RESPONSE).encode()
    got = read(body, kind=False)
    assert (got.failure, got.plain, got.text) == (None, body, "Yes, it is.")
    assert got.events[-1].usage == Usage(7, 3, 2, None, (), 1)
    assert json.loads(got.events[-1].data)["response"] == RESPONSE
    kinds = [type_of(event.data).decode() for event in got.events]
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    assert "response.output_text.delta" in kinds
    for failing in (b"<html>", b'{"error":{"message":"x"}}', b'{"output":[]}'):
        assert read(failing, kind=False).failure is not None


@given(responses_api.responses())
def test_a_stream_assembles_into_its_response(response: dict[str, Any]) -> None:
    for payloads in (responses_api.streamed(response), _with_an_empty_end(response)):
        assembly = Assembly()
        for payload in payloads:
            assembly.add(msgspec.json.encode(payload))
        assert json.loads(assembly.answer()) == json.loads(msgspec.json.encode(response))


def _with_an_empty_end(response: dict[str, Any]) -> list[dict[str, Any]]:
    *events, last = responses_api.streamed(response)
    return [*events, {**last, "response": {**response, "output": []}}]


odd = st.recursive(
    openai_chats.scalars | st.sampled_from(["response.completed", "message", "function_call", "failed", "\ud83d"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "response", "item", "output", "status", "error", "delta", "output_index", "usage"]
            ),
            inner,
        )
    ),
    max_leaves=12,
)


@given(
    st.lists(st.dictionaries(st.sampled_from(["type", "response", "item", "delta"]), odd), max_size=4), st.booleans()
)
@settings(deadline=None)
def test_odd_events_end_a_stream_or_pass(payloads: list[dict[str, Any]], whole: bool) -> None:
    events = [b"data: " + json.dumps(payload).encode() + b"\n\n" for payload in payloads]
    got = read(b"".join([*events, *(STREAM if whole else ())]))
    for event in got.events:
        json.loads(event.data)
