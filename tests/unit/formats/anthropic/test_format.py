"""Anthropic's Messages API behind the protocol of all formats."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from meshd.formats.anthropic.format import ANTHROPIC
from meshd.formats.protocol import Address, AppSide, Format, ProviderSide, Translator
from meshd.operations.chat import CHAT
from meshd.operations.embeddings import EMBEDDINGS
from meshd.sdk.provider import FailureKind, ProviderCall, ProviderFailure, ProviderSettings, Usage
from modelmesh import BudgetExceededError, InvalidRequestError, MeshError, NoActiveModelError, NotFoundError

ADDRESS = Address("api.example.com", "https://api.example.com/v1/messages")
MESSAGES = msgspec.structs.replace(CHAT, paths={**CHAT.paths, "anthropic": "/v1/messages"})
APP: Any = ANTHROPIC.app


def side(**quirks: Any) -> ProviderSide:
    return ANTHROPIC.provider(ProviderSettings("p", "anthropic", quirks=quirks))


def call(body: bytes, *, model: str = "upstream", stream: bool = False, so_far: str = "") -> ProviderCall:
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    return ProviderCall(MESSAGES, model, fields, stream, so_far=so_far)


def test_it_has_all_three_sides() -> None:
    format: Format = ANTHROPIC
    app: AppSide = format.app
    translator: Translator = format.translator()
    assert (format.name, app, type(translator)) == ("anthropic", APP, type(ANTHROPIC.translator()))


def test_it_has_a_path_for_messages_alone() -> None:
    assert side().path(MESSAGES, "m", stream=False) == "messages"
    assert side().path(EMBEDDINGS, "m", stream=False) is None
    assert side().models_path == "models?limit=1000"


def test_the_key_and_the_version_are_in_headers() -> None:
    version = {"anthropic-version": "2023-06-01"}
    assert side().headers("k") == {"x-api-key": "k", **version}
    assert side().headers("") == version
    assert side(api_key_header="Authorization").headers("k") == {"Authorization": "Bearer k", **version}


def test_the_request_keeps_its_bytes() -> None:
    body = rb'{"model":"pool","max_tokens":9,"messages":[ {"role" : "user", "content":"\u00e9"} ],"x":{"y":12.50}}'
    assert side().write(call(body)) == body.replace(b'"pool"', b'"upstream"')


def test_a_stream_is_asked_for_and_quirks_are_kept() -> None:
    body = b'{"model":"app","stream":true,"metadata":{},"max_tokens":5}'
    assert side().write(call(body)) == b'{"model":"upstream","metadata":{},"max_tokens":5}'
    assert side().write(call(body, stream=True)).endswith(b'"max_tokens":5}')
    assert json.loads(side().write(call(body, stream=True)))["stream"] is True
    sent = side(drop=["metadata"], rename={"max_tokens": "max_output"}).write(call(body))
    assert json.loads(sent) == {"model": "upstream", "max_output": 5}
    with pytest.raises(ValueError, match="prefill"):
        side(prefill="telepathy")


@pytest.mark.parametrize(
    ("model", "so_far", "quirks", "more", "roles"),
    [
        ("claude-sonnet-4-5-20250929", "Once", {}, {}, ["user", "assistant"]),
        ("claude-3-7-sonnet-latest", "Once", {}, {}, ["user", "assistant"]),
        ("claude-sonnet-4-5", "Once ", {}, {}, ["user", "assistant", "user"]),
        ("claude-sonnet-4-5", "Once", {}, {"thinking": {"type": "enabled"}}, ["user", "assistant", "user"]),
        ("claude-sonnet-4-5", "Once", {}, {"thinking": {"type": "disabled"}}, ["user", "assistant"]),
        ("claude-opus-4-6", "Once", {}, {}, ["user", "assistant", "user"]),
        ("claude-fable-5", "Once", {}, {}, ["user", "assistant", "user"]),
        ("glm-5", "Once", {}, {}, ["user", "assistant", "user"]),
        ("glm-5", "Once", {"prefill": "assistant"}, {}, ["user", "assistant"]),
        ("claude-sonnet-4-5", "Once", {"prefill": "instruct"}, {}, ["user", "assistant", "user"]),
        ("claude-sonnet-4-5", " \n", {}, {}, ["user"]),
    ],
)
def test_the_rest_of_an_answer_is_asked_for_as_the_model_takes_it(
    model: str, so_far: str, quirks: dict[str, Any], more: dict[str, Any], roles: list[str]
) -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "A tale"}], **more}).encode()
    sent = json.loads(side(**quirks).write(call(body, model=model, so_far=so_far)))
    assert [message["role"] for message in sent["messages"]] == roles
    if len(roles) > 1:
        assert sent["messages"][1] == {"role": "assistant", "content": so_far}


USAGE = b'{"input_tokens":7,"cache_creation_input_tokens":0,"cache_read_input_tokens":2,"output_tokens":3}'
ANSWER = (
    b'{"id":"msg_1","type":"message","content":[ {"type":"text","text":"Yes."}],"stop_reason":"end_turn","usage":'
    + USAGE
    + b"}"
)


def test_an_answer_passes_with_its_bytes_and_its_usage() -> None:
    reading = side().read(ANSWER, call(b"{}"), ADDRESS)
    assert reading.body is ANSWER
    assert (reading.usage, reading.size) == (Usage(9, 3, 2, 0), 4)


@pytest.mark.parametrize(
    "body",
    [
        b'{"content":[],"stop_reason":"max_tokens"}',
        b'{"type":"message","content":[{"type":"tool_use","name":"f","input":{}}],"stop_reason":"tool_use"}',
        b'{"type":"message","content":[{"type":"redacted_thinking","data":"x"}],"stop_reason":null}',
        b'{"type":"message","content":[{"type":"text","text":""}],"stop_reason":"refusal","x_newer":1}',
    ],
)
def test_an_answer_that_says_little_is_an_answer(body: bytes) -> None:
    assert side().read(body, call(b"{}"), ADDRESS).body == body


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (b"<html>", FailureKind.BAD_ANSWER, "api.example.com"),
        (b"{}", FailureKind.BAD_ANSWER, "without content"),
        (b'{"type":"message","content":[]}', FailureKind.BAD_ANSWER, "an empty message"),
        (b'{"choices":[{"message":{"content":"Hi"}}]}', FailureKind.BAD_ANSWER, "OpenAI's format"),
        (
            b'{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}',
            FailureKind.RATE_LIMIT,
            "slow down",
        ),
        (
            b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
            FailureKind.BAD_ANSWER,
            "Overloaded",
        ),
        (
            b'{"content":[{"type":"text","text":"x"}],"stop_reason":"error"}',
            FailureKind.BAD_ANSWER,
            "cut its answer off",
        ),
        (
            b'{"content":[{"type":"text","text":"x"}],"error":{"message":"it broke"}}',
            FailureKind.BAD_ANSWER,
            "it broke",
        ),
    ],
)
def test_what_is_not_an_answer_is_a_failure(body: bytes, kind: FailureKind, says: str) -> None:
    with pytest.raises(ProviderFailure, match=says) as caught:
        side().read(body, call(b"{}"), ADDRESS)
    assert caught.value.kind is kind


def test_what_was_said_beside_an_error_may_cost_something() -> None:
    body = b'{"content":[{"type":"text","text":"Once"}],"error":"it broke","usage":' + USAGE + b"}"
    with pytest.raises(ProviderFailure) as caught:
        side().read(body, call(b"{}"), ADDRESS)
    assert (caught.value.said, caught.value.usage) == ("Once", Usage(9, 3, 2, 0))


def test_models_are_listed_with_their_limits() -> None:
    yes, no = {"supported": True}, {"supported": False}
    entry = {
        "type": "model",
        "id": "claude-x-5",
        "display_name": "X",
        "created_at": "2026-01-01T00:00:00Z",
        "max_input_tokens": 200000,
        "max_tokens": 64000,
        "capabilities": {"image_input": yes, "structured_outputs": no, "thinking": yes},
    }
    listing = json.dumps({"data": [entry, {"id": "other"}], "has_more": False}).encode()
    first, second = side().read_models(listing)
    assert (first.id, first.context_window, first.max_output_tokens) == ("claude-x-5", 200000, 64000)
    assert set(first.features) == {"tool_calling", "system_prompt", "vision", "reasoning"}
    assert (second.id, second.context_window, second.features) == ("other", None, ())
    assert side().read_model(json.dumps(entry).encode()) == first
    with pytest.raises(ValueError, match="data"):
        side().read_models(b"{}")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidRequestError("m"), "invalid_request_error"),
        (MeshError("m", status_code=401), "authentication_error"),
        (BudgetExceededError("m"), "billing_error"),
        (MeshError("m", status_code=403), "permission_error"),
        (NotFoundError("m"), "not_found_error"),
        (InvalidRequestError("m", status_code=413), "request_too_large"),
        (InvalidRequestError("m", status_code=422), "invalid_request_error"),
        (MeshError("m", status_code=429), "rate_limit_error"),
        (MeshError("m"), "api_error"),
        (MeshError("m", status_code=502), "api_error"),
        (NoActiveModelError("m"), "overloaded_error"),
        (MeshError("m", status_code=504), "timeout_error"),
        (MeshError("m", status_code=529), "overloaded_error"),
        (MeshError("m", status_code=400, type="billing_error"), "billing_error"),
        (MeshError("m", status_code=500, type="server_error"), "api_error"),
    ],
)
def test_an_error_has_the_formats_body(error: MeshError, kind: str) -> None:
    assert json.loads(APP.error(error)) == {"type": "error", "error": {"type": kind, "message": "m"}}
    assert [json.loads(data)["error"]["type"] for data in APP.stream_error(error)] == [kind]


def test_an_error_has_the_providers_words_and_the_requests_id() -> None:
    words = "messages.1.content.0: Invalid `signature` in `thinking` block"
    body = json.loads(APP.error(InvalidRequestError(words, request_id="req_1")))
    assert (body["error"]["message"], body["request_id"]) == (words, "req_1")


def test_events_are_framed_with_their_names() -> None:
    assert APP.event(b'{"type":"message_stop"}') == b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    assert APP.event(b'{ "index":0, "type" : "ping" }').startswith(b"event: ping\ndata: { ")
    assert APP.event(b'{"type":"error\\n\\nevent: x"}').startswith(b"event: errorevent: x\ndata: ")
    assert APP.event(b'{"type":\n"ping",\r\n"x":1}') == b'event: ping\ndata: {"type": "ping",  "x":1}\n\n'
    assert APP.event(b"{").startswith(b"event: message\n")
    assert (APP.ping, APP.last) == (b'event: ping\ndata: {"type":"ping"}\n\n', b"")


def test_models_in_a_fallback_are_named() -> None:
    fields = call(b'{"model":"m","system":"claude-a","fallbacks":[{"model":"claude-b"}],"messages":[]}').fields
    named = [each.name for each in APP.names(fields, ("messages",)) if each.sure]
    assert named == ["claude-b"]


def test_it_translates_through_records() -> None:
    translator = ANTHROPIC.translator()
    body = b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"?"}]}'
    asked = translator.read_request(body)
    assert json.loads(translator.write_request(asked)) == json.loads(body)
    assert json.loads(translator.write_answer(translator.read_answer(ANSWER), asked)) == json.loads(ANSWER)
    started = {"type": "message_start", "message": json.loads(ANSWER)}
    events = translator.event_reader().read(json.dumps(started).encode())
    writer = translator.event_writer(asked, 5)
    assert [data for event in events for data in writer.write(event)] == []
    assert [json.loads(data)["type"] for data in writer.end()] == ["message_start", "message_delta", "message_stop"]


def test_usage_is_in_the_formats_names() -> None:
    assert APP.usage(Usage(9, 3, 2, 1)) == {
        "input_tokens": 6,
        "cache_creation_input_tokens": 1,
        "cache_read_input_tokens": 2,
        "output_tokens": 3,
    }
