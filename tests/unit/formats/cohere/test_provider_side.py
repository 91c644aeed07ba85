"""What is read of Cohere's answers, streams, vectors, results and lists.

Shapes: tests/support/providers/vendors/cohere.py.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from meshd.formats.cohere.format import COHERE
from meshd.formats.cohere.operations.embeddings import EmbeddingsTranslator
from meshd.formats.cohere.operations.rerank import RerankTranslator
from meshd.formats.conversation.reading import Unreadable
from meshd.formats.errors.response_failures import failure_from_response
from meshd.formats.protocol import Address, Opened
from meshd.host import clock
from meshd.net.http import BodyInHand
from meshd.operations.chat import CHAT
from meshd.operations.embeddings import EMBEDDINGS
from meshd.operations.rerank import RERANK
from meshd.sdk.provider import (
    FailureKind,
    ModelListing,
    OperationSpec,
    ProviderCall,
    ProviderFailure,
    ProviderSettings,
    StreamEvent,
    Usage,
)
from modelmesh.errors import InvalidRequestError
from tests.support.answers.cohere_chat import chat, events
from tests.support.providers.vendors.three_apis import Said

SIDE = COHERE.provider(ProviderSettings("here", "cohere.nlp.v1"))
WHERE = Address("here", "http://here")
SAID = Said(text="Hello there", thought="hm", calls=(("f", {"x": 1}),), cached=4)


def fields(**given: Any) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(json.dumps(value).encode()) for name, value in given.items()}


def call(operation: OperationSpec = CHAT, *, stream: bool = False, **given: Any) -> ProviderCall:
    return ProviderCall(operation, "m", fields(**given), stream)


async def read(body: bytes, content_type: str = "text/event-stream") -> list[StreamEvent]:
    def failed(error: BaseException) -> ProviderFailure:
        return ProviderFailure(FailureKind.CONNECTION, str(error))

    reader = SIDE.stream(BodyInHand(body), call(stream=True), WHERE, Opened(clock.now(), content_type, None, failed))
    found: list[StreamEvent] = []
    try:
        while not reader.done:
            found += await reader.more()
    finally:
        reader.close()
    return found


async def test_a_stream_and_the_answer_that_it_makes_up() -> None:
    pieces = events({}, SAID)
    found = await read(b"".join(pieces))
    assert "".join(event.text for event in found) == "Hello there"
    assert "".join(event.reasoning for event in found) == "hm"
    assert '{"x": 1}' in "".join(event.extra for event in found)
    assert [event.finish_reason for event in found if event.finish_reason] == ["tool_calls"]
    assert found[-1].usage == Usage(11, 5, 4)
    assembly = SIDE.assembling()
    for event in found:
        assembly.add(event.data)
    assert json.loads(assembly.answer()) == chat({}, SAID)


async def test_a_unary_answer_where_a_stream_was_due() -> None:
    found = await read(json.dumps(chat({}, SAID)).encode(), "application/json")
    assert "".join(event.text for event in found) == "Hello there"
    assert found[-1].finish_reason == "tool_calls"


END = {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "upstream overloaded"}}


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (b"", "finish reason"),
        (b"data: " + json.dumps(END).encode() + b"\n\n", "upstream overloaded"),
        (b'data: {"type":"message-end","delta":{"finish_reason":"TIMEOUT"}}\n\n', "TIMEOUT"),
        (b'data: {"id":"1","message":"internal server error"}\n\n', "internal server error"),
    ],
)
async def test_a_stream_that_fails(last: bytes, words: str) -> None:
    pieces = events({}, SAID)[:-1]
    with pytest.raises(ProviderFailure, match=words):
        await read(b"".join(pieces) + last)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"id": "1", "message": "invalid request"}, "invalid request"),
        ({"id": "1", "message": {"role": "assistant"}}, "empty message"),
        ({"id": "1", "finish_reason": "ERROR", "message": {"role": "assistant", "content": []}}, "ERROR"),
        ({"choices": []}, "without a message|choices"),
    ],
)
def test_what_is_not_an_answer(body: Any, words: str) -> None:
    with pytest.raises(ProviderFailure, match=words):
        SIDE.read(json.dumps(body).encode(), call(), WHERE)


@pytest.mark.parametrize(
    ("report", "usage"),
    [
        ({"billed_units": {"input_tokens": 3, "output_tokens": 2}, "tokens": {"input_tokens": 99}}, Usage(3, 2)),
        ({"tokens": {"input_tokens": 9.0, "output_tokens": 2}, "cached_tokens": 20}, Usage(9, 2, 9)),
        ({"billed_units": {"search_units": 2}}, Usage(units=(("searches", 2),))),
        ({"billed_units": None}, None),
        (None, None),
    ],
)
def test_usage(report: Any, usage: Usage | None) -> None:
    body = {"finish_reason": "COMPLETE", "message": {"content": [{"type": "text", "text": "x"}]}, "usage": report}
    assert SIDE.read(json.dumps(body).encode(), call(), WHERE).usage == usage


def test_the_rest_of_an_answer_is_asked_for() -> None:
    asked = call(messages=[{"role": "user", "content": "hi"}])
    asked.so_far = "Once upon"
    made = json.loads(SIDE.write(asked))
    assert [message["role"] for message in made["messages"]] == ["user", "assistant", "user"]
    assert made["messages"][1]["content"] == "Once upon"


FAILURES = [
    (401, "invalid api token", FailureKind.AUTHENTICATION),
    (401, "no api key supplied", FailureKind.AUTHENTICATION),
    (429, "You are using a Trial key, which is limited to 40 API calls / minute.", FailureKind.RATE_LIMIT),
    (429, "You are using a Trial key, which is limited to 1000 API calls / month.", FailureKind.QUOTA),
    (429, "trial token rate limit exceeded, limit is 100000 tokens per minute", FailureKind.RATE_LIMIT),
    (400, "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292.",
     FailureKind.CONTEXT_LENGTH),
    (404, "model 'command-x' not found, make sure the correct model ID was used", FailureKind.MODEL_NOT_FOUND),
    (400, "invalid request: message must be at least 1 token long", FailureKind.INVALID_REQUEST),
    (498, "invalid input: it has a blocked token in it", FailureKind.CONTENT_POLICY),
    (499, "request cancelled", FailureKind.SERVER),
    (500, "internal server error, this has been reported to our developers.", FailureKind.SERVER),
    (503, "service unavailable", FailureKind.SERVER),
]  # fmt: skip


@pytest.mark.parametrize(("status", "message", "kind"), FAILURES)
def test_failures(status: int, message: str, kind: FailureKind) -> None:
    """The words of https://docs.cohere.com/reference/errors."""
    body = json.dumps({"id": "0f9e6bb2", "message": message}).encode()
    failure = failure_from_response(status, body, (), "https://api.cohere.com/v2/chat")
    assert failure.kind is kind
    assert message[:20] in failure.message


# -- other operations -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"input": [1, 2]}, "input"),
        ({"input": ["x"] * 97}, "input"),
        ({"input": "x", "encoding_format": "hex"}, "encoding_format"),
        ({"input": "x", "embedding_types": ["float", "int8"]}, "embedding_types"),
    ],
)
def test_embeddings_that_cannot_be_asked_for(given: Any, param: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        EmbeddingsTranslator().write_request(fields(**given), "m")
    assert refused.value.param == param


def test_vectors_of_another_type() -> None:
    asked = fields(input=["a", "b"], encoding_format="int8", dimensions=2, truncate="START", user="u")
    made = EmbeddingsTranslator().write_request(asked, "m")
    assert {name: json.loads(bytes(value)) for name, value in made.items()} == {
        "input_type": "search_document", "texts": ["a", "b"], "embedding_types": ["int8"], "output_dimension": 2,
        "truncate": "START",
    }  # fmt: skip
    body = b'{"id":"1","embeddings":{"int8":[[1,-2],[3,4]]},"meta":{"billed_units":{"input_tokens":6}}}'
    assert SIDE.read(body, call(EMBEDDINGS), WHERE).usage == Usage(6)
    answer = json.loads(EmbeddingsTranslator().read_answer(body, asked, "m"))
    assert [row["embedding"] for row in answer["data"]] == [[1, -2], [3, 4]]
    assert answer["usage"] == {"prompt_tokens": 6, "total_tokens": 6}


@pytest.mark.parametrize(
    "body",
    [b'{"embeddings":{}}', b'{"embeddings":{"float":[[]]}}', b'{"message":"invalid api token"}', b"nothing", b"{}"],
)
def test_no_vectors_are_not_an_answer(body: bytes) -> None:
    with pytest.raises(ProviderFailure):
        SIDE.read(body, call(EMBEDDINGS), WHERE)


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"documents": [{"title": "t", "text": "x"}]}, "documents"),
        ({"documents": "x"}, "documents"),
        ({"documents": ["x"], "rank_fields": ["title"]}, "rank_fields"),
    ],
)
def test_reranking_that_cannot_be_asked_for(given: Any, param: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        RerankTranslator().write_request(fields(query="q", **given), "m")
    assert refused.value.param == param


def test_results_of_no_document() -> None:
    asked = fields(query="q", documents=["x"], return_documents=True)
    with pytest.raises(Unreadable, match="no results"):
        RerankTranslator().read_answer(b'{"results":[{"index":7,"relevance_score":1}]}', asked, "m")


@pytest.mark.parametrize(
    ("documents", "more", "searches"),
    [
        (["x"], {}, 1), (["x"] * 100, {}, 1), (["x"] * 101, {}, 2), (["x" * 900] * 100, {}, 2),
        (["x" * 10**6] * 100, {}, 9), (["x" * 10**6] * 100, {"max_tokens_per_doc": 400}, 1), ("x", {}, 1),
    ],
)  # fmt: skip
def test_searches_at_most(documents: Any, more: Any, searches: int) -> None:
    assert RERANK.units is not None
    assert RERANK.units(fields(documents=documents, **more)) == {"searches": searches}


# -- the list of models -----------------------------------------------------------------------------------


def test_models() -> None:
    models = [
        {
            "name": "command-a", "endpoints": ["chat"], "finetuned": False, "context_length": 288000.0,
            "features": ["json_mode", "json_schema", "strict_tools", "tools", "vision", "safety_modes", 7],
        },
        {"name": "embed-x", "endpoints": ["embed"], "features": None, "is_deprecated": True},
        {"name": "sorter", "endpoints": ["rerank"]},
        {"name": "old", "endpoints": ["generate"]},
        {"name": "a-rerank-model"},
        {"name": 7},
        "x",
    ]  # fmt: skip
    found = SIDE.read_models(json.dumps({"models": models, "next_page_token": None}).encode())
    does = ("json_mode", "structured_output", "tool_calling", "vision", "system_prompt")
    assert found == [
        ModelListing("command-a", ("chat-completion",), 288000, None, does),
        ModelListing("embed-x", ("text-embeddings",), deprecated=True),
        ModelListing("sorter", ("reranking",)),
        ModelListing("old", ()),
        ModelListing("a-rerank-model", ("reranking",)),
        ModelListing("x", ("chat-completion",)),
    ]
    assert SIDE.read_model(json.dumps(models[0]).encode()) == found[0]
