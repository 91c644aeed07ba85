"""A response's stream, cut at any byte: whole, or told as broken; never an answer that looks whole and is not."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.formats.errors.transport_failures import failure_from_exception
from meshd.formats.gemini.stream.event_stream import EventReader
from meshd.host import clock
from meshd.sdk.provider import FailureKind, ProviderFailure, StreamEvent
from tests.support.formats.pieces import Body

Json = dict[str, Any]


def read(
    stream: bytes, cuts: list[int] | None = None, *, breaks: bool = False, event_stream: bool = True
) -> tuple[list[StreamEvent], ProviderFailure | None]:
    """The events, and why it is not whole; None if it is."""

    async def collect() -> tuple[list[StreamEvent], ProviderFailure | None]:
        body: Any = Body(stream, cuts or (), breaks=breaks)
        reader = EventReader(
            body, started=clock.now(), first_token=9.0, idle=9.0, total=9.0, where="here", event_stream=event_stream,
            limits=None, failed=lambda exc: failure_from_exception(exc, "here", 9.0),
        )  # fmt: skip
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


def chunk(*parts: Json, reason: str = "", **more: Any) -> Json:
    candidate: Json = {"content": {"parts": list(parts), "role": "model"} if parts else {"role": "model"}, "index": 0}
    candidate |= {"finishReason": reason} if reason else {}
    usage = {"promptTokenCount": 4, "candidatesTokenCount": 2, "totalTokenCount": 6}
    return {"candidates": [candidate], "usageMetadata": usage, **more}


def sse(*chunks: Json) -> bytes:
    return b"".join(b"data: %s\r\n\r\n" % json.dumps(each).encode() for each in chunks)


SAID = [chunk({"text": "Hm", "thought": True}), chunk({"text": "Hel"}), chunk({"text": "lo"}, reason="STOP")]


@given(st.lists(st.integers(0, 10_000), max_size=4), st.booleans())
def test_a_whole_stream_is_read_at_any_cuts(cuts: list[int], breaks: bool) -> None:
    events, failure = read(b": a comment\r\n\r\n" + sse(*SAID), cuts, breaks=breaks)
    assert failure is None
    assert ["".join(getattr(event, name) for event in events) for name in ("reasoning", "text")] == ["Hm", "Hello"]
    assert [event.finish_reason for event in events] == [None, None, "stop"]
    usage = events[-1].usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (4, 2)
    assert [json.loads(event.data) for event in events] == SAID


@given(st.integers(0, len(sse(*SAID)) - 5))
def test_a_stream_that_is_cut_is_broken(at: int) -> None:
    _, failure = read(sse(*SAID)[:at])
    assert failure is not None


def test_calls_blocks_and_reasons() -> None:
    call = {"functionCall": {"name": "f", "args": {"a": 1}}}
    events, failure = read(sse(chunk(call), chunk(reason="STOP")))
    assert failure is None
    assert [bool(event.extra) for event in events] == [True, False]
    assert events[-1].finish_reason == "stop"
    events, failure = read(sse({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 9}}))
    assert failure is None
    assert [event.finish_reason for event in events] == ["content_filter"]
    events, failure = read(sse(chunk({"text": "a"}), chunk(reason="SAFETY")))
    assert (failure, events[-1].finish_reason) == (None, "content_filter")


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "OTHER"])
def test_a_reason_that_says_it_is_broken_off_is_a_failure(reason: str) -> None:
    _, failure = read(sse(chunk({"text": "a"}), chunk(reason=reason)))
    assert failure is not None
    assert reason in failure.message


def test_an_error_inside_is_of_its_kind() -> None:
    error = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    events, failure = read(sse(chunk({"text": "a"})) + sse(error))
    assert failure is not None
    assert (len(events), failure.status, failure.message) == (1, 503, "The model is overloaded.")
    quota = {"error": {"code": 429, "message": "Resource exhausted.", "status": "RESOURCE_EXHAUSTED"}}
    _, failure = read(json.dumps([quota]).encode(), event_stream=False)
    assert failure is not None
    assert failure.kind is FailureKind.RATE_LIMIT


def test_the_array_that_is_sent_without_sse_is_read() -> None:
    events, failure = read(json.dumps(SAID).encode(), event_stream=False)
    assert failure is None
    assert "".join(event.text for event in events) == "Hello"


def test_images_and_searches_are_counted_over_the_stream() -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    last = chunk(reason="STOP")
    last["candidates"][0]["groundingMetadata"] = {"webSearchQueries": ["a", "b"]}
    events, failure = read(sse(chunk(image), chunk({"text": "There."}), last))
    assert failure is None
    usage = events[-1].usage
    assert usage is not None
    assert dict(usage.units) == {"images": 1, "searches": 2}
