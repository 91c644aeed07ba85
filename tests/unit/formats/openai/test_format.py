"""OpenAI's format behind the protocol of all formats."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from meshd.formats.openai.format import OPENAI
from meshd.formats.protocol import Address, AppSide, Format, ProviderSide, Translator
from meshd.operations.chat import CHAT
from meshd.operations.completion import COMPLETION
from meshd.operations.embeddings import EMBEDDINGS
from meshd.operations.known import OPERATIONS
from meshd.sdk.provider import (
    FailureKind,
    OperationSpec,
    ProviderCall,
    ProviderFailure,
    ProviderSettings,
    StreamEvent,
    Usage,
)
from modelmesh.errors import InvalidRequestError

ADDRESS = Address("api.example.com", "https://api.example.com/v1/chat/completions")


def side(**quirks: Any) -> ProviderSide:
    return OPENAI.provider(ProviderSettings("p", "openai", quirks=quirks))


def call(body: bytes, *, stream: bool = False, so_far: str = "", operation: OperationSpec = CHAT) -> ProviderCall:
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    return ProviderCall(operation, "upstream", fields, stream, so_far=so_far)


def test_it_has_all_three_sides() -> None:
    format: Format = OPENAI
    app: AppSide = format.app
    translator: Translator = format.translator()
    assert (format.name, app, type(translator)) == ("openai", OPENAI.app, type(OPENAI.translator()))


@pytest.mark.parametrize("operation", list(OPERATIONS.values()))
def test_each_operation_has_a_path(operation: OperationSpec) -> None:
    assert side().path(operation, "m", stream=False) == str(operation).replace(".", "/")


def test_the_key_is_a_bearer_or_in_a_header_of_its_own() -> None:
    assert side().headers("k") == {"Authorization": "Bearer k"}
    assert side(api_key_header="api-key").headers("k") == {"api-key": "k"}
    assert side().headers("") == {}


def test_the_request_keeps_its_bytes() -> None:
    """Only top-level values are replaced: white space, numbers and escapes inside others stay as the app wrote them."""
    body = rb'{"model":"pool","messages":[ {"role" : "user", "content":"\u00e9"} ],"temperature":1.0e0,"x":{"y":12.50}}'
    sent = side().write(call(body))
    assert sent == body.replace(b'"pool"', b'"upstream"')


def test_requests_are_written_with_the_providers_quirks() -> None:
    body = b'{"model":"app","messages":[1, 2.50],"stream":true,"store":true}'
    unary, stream = call(body), call(body, stream=True)
    assert side().write(unary) == b'{"model":"upstream","messages":[1, 2.50],"store":true}'
    quirks = side(no_stream_options=True, drop=["store"], rename={"messages": "input"})
    assert quirks.write(stream) == b'{"model":"upstream","input":[1, 2.50],"stream":true}'
    assert stream.fields["model"] == msgspec.Raw(b'"app"')  # shared between attempts, never changed


def test_a_stream_asks_for_its_usage_unless_the_provider_refuses_that() -> None:
    body = b'{"model":"pool","messages":[]}'
    assert json.loads(side().write(call(body, stream=True)))["stream_options"] == {"include_usage": True}
    assert "stream_options" not in json.loads(side(no_stream_options=True).write(call(body, stream=True)))
    assert "stream" not in json.loads(side().write(call(b'{"model":"m","stream":true}')))


def test_fields_are_renamed_and_dropped() -> None:
    body = b'{"model":"pool","max_tokens":5,"user":"u"}'
    sent = json.loads(side(rename={"max_tokens": "max_completion_tokens"}, drop=["user"]).write(call(body)))
    assert sent == {"model": "upstream", "max_completion_tokens": 5}


def test_the_rest_of_an_answer_is_asked_for_or_refused() -> None:
    body = b'{"model":"m","prompt":"Once"}'
    asked = call(body, so_far=" upon", operation=COMPLETION)
    assert json.loads(side().write(asked))["prompt"] == "Once upon"
    with pytest.raises(ProviderFailure) as caught:
        side().write(call(b'{"model":"m","prompt":[1,2]}', so_far="x", operation=COMPLETION))
    assert (caught.value.kind, caught.value.unsent) == (FailureKind.UNSUPPORTED, True)


def test_an_unknown_quirk_is_refused() -> None:
    with pytest.raises(ValueError, match="prefill"):
        side(prefill="telepathy")


def test_an_answer_passes_with_its_bytes_and_its_usage() -> None:
    usage = b'{"prompt_tokens":7,"completion_tokens":3}'
    body = b'{"choices":[ {"message":{"content":"Yes."},"finish_reason":"stop"}],"usage":' + usage + b"}"
    reading = side().read(body, call(b"{}"), ADDRESS)
    assert reading.body is body
    assert (reading.usage, reading.size) == (Usage(7, 3), 4)


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (b"<html>", FailureKind.BAD_ANSWER, "api.example.com"),
        (b'{"choices":[]}', FailureKind.BAD_ANSWER, "api.example.com answered without choices"),
        (b'{"error":{"message":"slow down","code":"rate_limit_exceeded"}}', FailureKind.RATE_LIMIT, "slow down"),
    ],
)
def test_what_is_not_an_answer_is_a_failure(body: bytes, kind: FailureKind, says: str) -> None:
    with pytest.raises(ProviderFailure, match=says) as caught:
        side().read(body, call(b"{}"), ADDRESS)
    assert caught.value.kind is kind


def test_no_vectors_are_an_answer_to_no_texts() -> None:
    nothing = call(b'{"input": [ ]}', operation=EMBEDDINGS)
    assert side().read(b'{"data":[]}', nothing, ADDRESS).body == b'{"data":[]}'


def test_models_are_listed() -> None:
    assert [model.id for model in side().read_models(b'{"data":[{"id":"a"},{"id":"b"}]}')] == ["a", "b"]
    model = side(models_path="m").read_model(b'{"id":"a"}')
    assert model is not None
    assert model.id == "a"
    with pytest.raises(ValueError, match="data"):
        side().read_models(b"{}")


def test_an_error_has_the_formats_body() -> None:
    error = InvalidRequestError("`n` has to be a number", param="n")
    body = json.loads(OPENAI.app.error(error))
    assert body == {
        "error": {
            "message": "`n` has to be a number",
            "type": "invalid_request_error",
            "code": "invalid_request",
            "param": "n",
        }
    }


FIRST = b'{"id":"a1","created":5,"model":"one","choices":[{"index":0,"delta":{"role":"assistant","content":"On"}}]}'


def test_another_attempts_chunks_continue_the_apps_stream() -> None:
    seam = OPENAI.app.seam(FIRST, CHAT)
    data = b'{"id":"b2","model":"two","choices":[{"index":0,"delta":{"role":"assistant","content":"Once upon"}}]}'
    chunk = seam.event(StreamEvent(data, True, "Once upon"), "ce upon", None)
    assert chunk is not None
    assert json.loads(chunk) == {
        "id": "a1",
        "created": 5,
        "model": "one",
        "choices": [{"index": 0, "delta": {"content": "ce upon"}}],
    }


def test_a_seam_leaves_out_what_says_nothing_and_reports_all_usage() -> None:
    seam = OPENAI.app.seam(FIRST, CHAT)
    assert seam.event(StreamEvent(FIRST), "", None) is None
    data = b'{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}'
    chunk = seam.event(StreamEvent(data, usage=Usage(1, 1)), "", Usage(7, 3))
    assert chunk is not None
    assert json.loads(chunk)["usage"]["total_tokens"] == 10


@pytest.mark.parametrize(
    ("operation", "choice"),
    [(CHAT, {"delta": {"content": "x"}}), (COMPLETION, {"text": "x"})],
)
def test_a_seam_writes_text_that_was_held_back(operation: OperationSpec, choice: dict[str, Any]) -> None:
    chunk = json.loads(OPENAI.app.seam(FIRST, operation).text("x"))
    assert chunk["choices"] == [{"index": 0, **choice, "finish_reason": None}]
    assert chunk["id"] == "a1"


def test_it_translates_through_records() -> None:
    translator = OPENAI.translator()
    body = b'{"model":"m","messages":[{"role":"user","content":"?"}]}'
    asked = translator.read_request(body)
    assert json.loads(translator.write_request(asked)) == json.loads(body)
    answer = translator.read_answer(b'{"id":"a1","choices":[{"message":{"content":"Yes."},"finish_reason":"stop"}]}')
    assert json.loads(translator.write_answer(answer, asked))["choices"][0]["message"]["content"] == "Yes."
    events = translator.event_reader().read(FIRST)
    writer = translator.event_writer(asked)
    chunks = [chunk for event in events for chunk in writer.write(event)] + writer.end()
    assert [json.loads(chunk)["choices"][0]["delta"]["content"] for chunk in chunks] == ["On"]
