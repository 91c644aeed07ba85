"""The Responses API behind the protocol of all formats."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from meshd.formats.protocol import Address, AppSide, Format, ProviderSide, Translator
from meshd.formats.responses.format import RESPONSES
from meshd.operations.chat import CHAT
from meshd.operations.embeddings import EMBEDDINGS
from meshd.sdk.provider import FailureKind, ProviderCall, ProviderFailure, ProviderSettings, Usage
from modelmesh.errors import InvalidRequestError, RateLimitError

ADDRESS = Address("api.example.com", "https://api.example.com/v1/responses")
ASKED = msgspec.structs.replace(CHAT, paths={"openai": "/v1/chat/completions", "responses": "/v1/responses"})
OUTPUT = b'[ {"type":"message","role":"assistant","content":[{"type":"output_text","text":"Yes."}]}]'


def side(**quirks: Any) -> ProviderSide:
    return RESPONSES.provider(ProviderSettings("p", "openai", quirks=quirks))


def call(body: bytes, *, stream: bool = False, so_far: str = "") -> ProviderCall:
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    return ProviderCall(ASKED, "upstream", fields, stream, so_far=so_far)


def test_it_has_all_three_sides() -> None:
    format: Format = RESPONSES
    app: AppSide = format.app
    translator: Translator = format.translator()
    assert (format.name, app, type(translator)) == ("responses", RESPONSES.app, type(RESPONSES.translator()))


def test_only_conversations_have_a_path() -> None:
    assert side().path(ASKED, "m", stream=False) == "responses"
    assert side().path(EMBEDDINGS, "m", stream=False) is None


def test_the_key_is_a_bearer_or_in_a_header_of_its_own() -> None:
    assert side().headers("k") == {"Authorization": "Bearer k"}
    assert side(api_key_header="api-key").headers("k") == {"api-key": "k"}
    assert side().headers("") == {}


def test_the_request_keeps_its_bytes() -> None:
    """Only top-level values are replaced: white space, numbers and escapes inside others stay as the app wrote them."""
    body = rb'{"model":"pool","input":[ {"role" : "user", "content":"\u00e9"} ],"temperature":1.0e0,"x":{"y":12.50}}'
    assert side().write(call(body)) == body.replace(b'"pool"', b'"upstream"')


def test_a_stream_is_asked_for_and_quirks_apply() -> None:
    body = b'{"model":"app","input":"?","stream":true,"stream_options":{"include_obfuscation":false},"store":true}'
    assert side().write(call(body)) == b'{"model":"upstream","input":"?","store":true}'
    streamed = side(drop=["store"], rename={"input": "prompt"}).write(call(body, stream=True))
    assert json.loads(streamed) == {
        "model": "upstream",
        "prompt": "?",
        "stream": True,
        "stream_options": {"include_obfuscation": False},
    }


@pytest.mark.parametrize("given", [b'"Once?"', b'[{"role": "user", "content": "Once?"}]'])
def test_the_rest_of_an_answer_is_asked_for(given: bytes) -> None:
    sent = json.loads(side().write(call(b'{"model":"m","input":' + given + b"}", so_far="Once upon")))["input"]
    assert [(item["role"], item["content"]) for item in sent[:2]] == [("user", "Once?"), ("assistant", "Once upon")]
    assert sent[2]["role"] == "user"


def test_the_rest_of_an_answer_to_something_else_is_refused() -> None:
    with pytest.raises(ProviderFailure) as caught:
        side().write(call(b'{"model":"m","input":{"a":1}}', so_far="x"))
    assert (caught.value.kind, caught.value.unsent) == (FailureKind.UNSUPPORTED, True)


def test_an_answer_passes_with_its_bytes_and_its_usage() -> None:
    usage = b'{"input_tokens":7,"input_tokens_details":{"cached_tokens":2},"output_tokens":3}'
    body = b'{"id":"resp_1","status":"completed","output":' + OUTPUT + b',"error":null,"usage":' + usage + b"}"
    reading = side().read(body, call(b"{}"), ADDRESS)
    assert reading.body is body
    assert (reading.usage, reading.size) == (Usage(7, 3, 2), 4)


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"r","output":' + OUTPUT + b"}",
        b'{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"output":[]}',
        b'{"status":"in_progress","background":true,"output":[]}',
        b'{"status":"completed","output":[{"type":"reasoning","summary":[]}]}',
        b'{"status":"completed","output":[{"type":"function_call","name":"f","arguments":""}]}',
    ],
)
def test_what_may_be_an_answer_is_one(body: bytes) -> None:
    assert side().read(body, call(b"{}"), ADDRESS).body is body


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (b"<html>", FailureKind.BAD_ANSWER, "api.example.com"),
        (b"[]", FailureKind.BAD_ANSWER, "api.example.com"),
        (b'{"id":"r"}', FailureKind.BAD_ANSWER, "api.example.com answered without output"),
        (b'{"id":"r","status":"completed","output":[]}', FailureKind.BAD_ANSWER, "says nothing"),
        (b'{"choices":[{"message":{"content":"x"}}]}', FailureKind.BAD_ANSWER, "without output"),
        (b'{"error":{"message":"slow down","code":"rate_limit_exceeded"}}', FailureKind.RATE_LIMIT, "slow down"),
        (
            b'{"status":"failed","output":[],"error":{"code":"rate_limit_exceeded","message":"slow down"}}',
            FailureKind.RATE_LIMIT,
            "slow down",
        ),
        (b'{"status":"failed","output":[],"error":null}', FailureKind.BAD_ANSWER, "failed"),
        (b'{"status":"cancelled","output":' + OUTPUT + b"}", FailureKind.BAD_ANSWER, "cancelled"),
    ],
)
def test_what_is_not_an_answer_is_a_failure(body: bytes, kind: FailureKind, says: str) -> None:
    with pytest.raises(ProviderFailure, match=says) as caught:
        side().read(body, call(b"{}"), ADDRESS)
    assert caught.value.kind is kind


def test_a_failure_has_its_usage_and_what_was_said() -> None:
    body = b'{"status":"failed","output":' + OUTPUT + b',"error":{"message":"x"},"usage":{"input_tokens":7}}'
    with pytest.raises(ProviderFailure) as caught:
        side().read(body, call(b"{}"), ADDRESS)
    assert (caught.value.usage, caught.value.said) == (Usage(7, 0), "Yes.")


def test_models_are_listed() -> None:
    assert [model.id for model in side().read_models(b'{"data":[{"id":"a"},{"id":"b"}]}')] == ["a", "b"]
    model = side(models_path="m").read_model(b'{"id":"a"}')
    assert model is not None
    assert model.id == "a"


def test_an_error_has_openais_shape() -> None:
    body = json.loads(RESPONSES.app.error(InvalidRequestError("`input` has to be text", param="input")))
    assert body["error"]["param"] == "input"
    assert body["error"]["type"] == "invalid_request_error"


def test_events_are_framed_with_their_names() -> None:
    app = RESPONSES.app
    assert (
        app.event(b'{"type":"response.created"}') == b'event: response.created\ndata: {"type":"response.created"}\n\n'
    )
    assert app.event(b'{"a":\n1}') == b'data: {"a":\ndata: 1}\n\n'
    assert app.event(b'{"type":"a\\nb: c"}') == b'data: {"type":"a\\nb: c"}\n\n'
    assert (app.last, app.ping) == (b"", b": keepalive\n\n")


def test_an_error_inside_a_stream_fails_the_response() -> None:
    first = b'{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","status":"in_progress"}}'
    last = b'{"type":"response.output_text.delta","sequence_number":8,"delta":"x"}'
    [event] = map(json.loads, RESPONSES.app.stream_error(RateLimitError("slow down"), first, last))
    assert (event["type"], event["sequence_number"], event["response"]["id"]) == ("response.failed", 9, "resp_1")
    assert event["response"]["status"] == "failed"
    assert event["response"]["error"] == {"code": "rate_limit_exceeded", "message": "slow down"}
    [event] = map(json.loads, RESPONSES.app.stream_error(InvalidRequestError("no", param="input")))
    assert event == {
        "type": "error",
        "sequence_number": 0,
        "code": "invalid_request",
        "message": "no",
        "param": "input",
    }


def test_it_translates_through_records() -> None:
    translator = RESPONSES.translator()
    asked = translator.read_request(b'{"model":"m","input":"?"}')
    assert json.loads(translator.write_request(asked)) == {"model": "m", "input": "?"}
    answer = translator.read_answer(b'{"id":"resp_1","status":"completed","output":' + OUTPUT + b"}")
    assert json.loads(translator.write_answer(answer, asked))["output"] == json.loads(OUTPUT)
    delta = b'{"type":"response.output_text.delta","delta":"On"}'
    events = translator.event_reader().read(delta)
    writer = translator.event_writer(asked)
    payloads = [payload for event in events for payload in writer.write(event)] + writer.end()
    assert json.loads(payloads[-1])["response"]["output"][0]["content"][0]["text"] == "On"
