"""How each API's answers are put on the wire where its own SDK asks over the mesh socket."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelmesh._shared.framings import framing_at
from modelmesh.errors import AllProvidersExhaustedError, InvalidRequestError, RateLimitError

DELTA = b'{"type":"content_block_delta","index":0}'
REFUSED = InvalidRequestError("no", code="bad", param="x", request_id="7")


def test_chat() -> None:
    chat = framing_at("/v1/chat/completions")
    assert chat.event(b'{"type":"x"}') == b'data: {"type":"x"}\n\n'
    assert chat.last == b"data: [DONE]\n\n"
    assert json.loads(chat.error_body(REFUSED))["error"]["code"] == "bad"
    assert chat.error_event(REFUSED).startswith(b'data: {"error":')


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages?beta=true", "/v1/messages/count_tokens"])
def test_messages_name_their_events(path: str) -> None:
    messages = framing_at(path)
    assert messages.event(DELTA) == b"event: content_block_delta\ndata: " + DELTA + b"\n\n"
    assert messages.last == b""
    assert json.loads(messages.error_body(REFUSED)) == {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "no"},
        "request_id": "7",
    }
    assert messages.error_event(RateLimitError("slow")).startswith(b"event: error\ndata: ")
    told = json.loads(messages.error_body(AllProvidersExhaustedError("all")))
    assert told["error"]["type"] == "overloaded_error"


def test_responses_name_their_events() -> None:
    responses = framing_at("/v1/responses")
    assert responses.event(b'{"type":"response.created"}').startswith(b"event: response.created\n")
    assert json.loads(responses.error_body(REFUSED))["error"]["message"] == "no"
    assert responses.error_event(REFUSED).startswith(b"event: error\ndata: ")


def told(first: bytes, last: bytes) -> dict[str, Any]:
    event = framing_at("/v1/responses").error_event(RateLimitError("slow"), first, last)
    made: dict[str, Any] = json.loads(event.partition(b"data: ")[2])
    return made


@pytest.mark.parametrize("first", [
    b'{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","output":[]}}',
    b'{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","output":[],"background":false}}',
])  # fmt: skip
def test_a_response_that_breaks_has_failed(first: bytes) -> None:
    event = told(first, b'{"sequence_number":7}')
    assert (event["type"], event["sequence_number"]) == ("response.failed", 8)
    assert event["response"]["status"] == "failed"
    assert event["response"]["id"] == "resp_1"
    assert event["response"]["error"] == {"code": "rate_limit_exceeded", "message": "slow"}


@pytest.mark.parametrize("first", [
    b'{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","background":true}}',
    b'{"type":"response.output_text.delta","sequence_number":0}', b"", b"[", b"[]",
])  # fmt: skip
def test_otherwise_only_the_stream_broke(first: bytes) -> None:
    event = told(first, b'{"sequence_number":7}')
    assert event == {
        "type": "error",
        "sequence_number": 8,
        "code": "rate_limit_exceeded",
        "message": "slow",
        "param": None,
    }


def test_ollama_has_lines() -> None:
    ollama = framing_at("/api/chat")
    assert ollama.event(b"{}") == b"{}\n"
    assert ollama.media_type == "application/x-ndjson"
    assert json.loads(ollama.error_body(REFUSED)) == {"error": "no"}


@pytest.mark.parametrize("data", [b"[]", b"x", b'{"type":1}', b'{"type":"a\\nb"}', b"\xff"])
def test_what_has_no_type_has_no_name(data: bytes) -> None:
    assert framing_at("/v1/messages").event(data) == b"data: " + data + b"\n\n"


@pytest.mark.parametrize("path", ["/v1beta/models/m:streamGenerateContent?alt=sse", "/v1/models/a/b:3:generateContent"])
def test_googles_api(path: str) -> None:
    google = framing_at(path)
    assert (google.event(b"{}"), google.last) == (b"data: {}\n\n", b"")
    told = json.loads(google.error_body(RateLimitError("slow", retry_after=1.2)))["error"]
    assert (told["code"], told["status"], told["details"][-1]["retryDelay"]) == (429, "RESOURCE_EXHAUSTED", "2s")
    assert framing_at("/v1/models/m:latest").last, "a model's name"
