"""Embeddings by InvokeModel: Titan's and Cohere's bodies."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import msgspec
import pytest

from meshd.formats.bedrock.embeddings import EmbeddingsTranslator, read_embeddings
from meshd.formats.errors.not_answers import ErrorInside, Unanswered
from meshd.sdk.provider import Usage
from modelmesh.errors import InvalidRequestError

TITAN, COHERE = "amazon.titan-embed-text-v2:0", "eu.cohere.embed-v4:0"
VECTOR = [0.5, -1.0, 0.25]


def fields(asked: dict[str, Any]) -> dict[str, msgspec.Raw]:
    return msgspec.json.decode(json.dumps(asked), type=dict[str, msgspec.Raw])


def written(model: str, **asked: Any) -> Any:
    made = EmbeddingsTranslator().write_request(fields(asked), model)
    return json.loads(msgspec.json.encode(dict(made)))


def answered(body: Any, **asked: Any) -> Any:
    return json.loads(EmbeddingsTranslator().read_answer(json.dumps(body).encode(), fields(asked), "m"))


def test_titan() -> None:
    asked = {"inputText": "Hello", "dimensions": 256, "normalize": False}
    assert written(TITAN, input=["Hello"], dimensions=256, normalize=False, user="me") == asked
    answer = {"embedding": VECTOR, "inputTextTokenCount": 5}
    assert read_embeddings(json.dumps(answer).encode()).usage == Usage(5)
    assert answered(answer, input="Hello") == {
        "object": "list", "model": "m", "usage": {"prompt_tokens": 5, "total_tokens": 5},
        "data": [{"object": "embedding", "index": 0, "embedding": VECTOR}],
    }  # fmt: skip


def test_cohere() -> None:
    assert written(COHERE, input=["a", "b"], dimensions=512, truncate="END") == {
        "texts": ["a", "b"], "input_type": "search_document", "embedding_types": ["float"], "output_dimension": 512,
        "truncate": "END",
    }  # fmt: skip
    assert written(COHERE, input="a", input_type="search_query")["input_type"] == "search_query"
    for body in ({"embeddings": {"float": [VECTOR, VECTOR]}}, {"embeddings": [VECTOR, VECTOR]}):
        assert [row["embedding"] for row in answered(body)["data"]] == [VECTOR, VECTOR]
        assert read_embeddings(json.dumps(body).encode()).usage is None


def test_vectors_as_base64() -> None:
    [row] = answered({"embedding": VECTOR}, encoding_format="base64")["data"]
    assert list(struct.unpack("<3f", base64.b64decode(row["embedding"]))) == VECTOR


@pytest.mark.parametrize(
    ("model", "asked", "param"),
    [
        (TITAN, {"input": ["a", "b"]}, "input"),
        (TITAN, {"input": [1, 2]}, "input"),
        (TITAN, {"input": []}, "input"),
        (COHERE, {"input": ["a"] * 97}, "input"),
        (COHERE, {"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ("amazon.nova-pro-v1:0", {"input": "a"}, "model"),
    ],
)
def test_what_cannot_be_said(model: str, asked: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        written(model, **asked)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"embedding": []}, Unanswered),
        ({"embeddings": {"int8": [[1]]}}, Unanswered),
        ({"error": {"message": "It failed"}}, ErrorInside),
    ],
)
def test_what_is_not_an_answer(body: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        read_embeddings(json.dumps(body).encode())
