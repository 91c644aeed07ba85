"""Embeddings: OpenAI's `/v1/embeddings` as InvokeModel, whose body has the form of the model's own API.

Owns: the bodies of Amazon's Titan and Cohere's Embed models. Titan takes one text at a time.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed-v4.html, 2026-11-28
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.formats.bedrock.conversation.refused import refused
from meshd.formats.conversation.reading import Unreadable
from meshd.formats.errors import error_answers
from meshd.formats.errors.not_answers import ErrorInside, Unanswered
from meshd.formats.keeping import Fields
from meshd.formats.openai.body.values import value_of
from meshd.formats.openai.usage import first_count, within
from meshd.formats.openai.wire import document_of
from meshd.formats.protocol import Reading
from meshd.sdk.provider import Usage
from meshd.sdk.reading import lenient, vectors

MOST_TEXTS = 96
"""The most texts in one request to Cohere's models."""
_TITAN, _COHERE = re.compile(r"(?:^|[./:])amazon\.titan-embed"), re.compile(r"(?:^|[./:])cohere\.embed")
_LONGEST = 2048  # characters of a model's id
_OF_TITAN, _OF_COHERE = ("normalize",), ("input_type", "truncate", "max_tokens")
"""Fields of the models' own APIs that an app may set."""
_encode = msgspec.json.Encoder().encode


class EmbeddingsTranslator:
    """See `formats/protocol.py:OperationTranslator`."""

    def write_request(self, asked: Fields, model: str) -> Fields:
        texts, dimensions = _texts(asked), value_of(asked, "dimensions")
        if value_of(asked, "encoding_format") not in (None, "float", "base64"):
            raise refused("any `encoding_format` but float and base64", "encoding_format")
        if _TITAN.search(model[:_LONGEST]):
            if len(texts) != 1:
                raise refused("more than one text at once for this model", "input")
            return _fields({"inputText": texts[0], "dimensions": dimensions, **_named(asked, _OF_TITAN)})
        if _COHERE.search(model[:_LONGEST]):
            if len(texts) > MOST_TEXTS:
                raise refused(f"more than {MOST_TEXTS} texts at once", "input")
            usual = {"input_type": "search_document", "embedding_types": ["float"], "output_dimension": dimensions}
            return _fields({"texts": texts, **usual, **_named(asked, _OF_COHERE)})
        raise refused("embeddings by models other than Titan and Cohere's", "model")

    def read_answer(self, body: bytes, asked: Fields, model: str) -> bytes:
        document, _ = document_of(body)
        rows, usage = _rows(document), _usage(document)
        if value_of(asked, "encoding_format") == "base64":
            rows = [_packed(row) for row in rows]
        data = [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)]
        tokens = 0 if usage is None else usage.input_tokens
        report = {"prompt_tokens": tokens, "total_tokens": tokens}
        return lenient.encode({"object": "list", "data": data, "model": model, "usage": report})


def read_embeddings(body: bytes) -> Reading:
    """Raises NotAnAnswer."""
    document, body = document_of(body)
    usage, rows = _usage(document), _rows(document)
    if rows and all(rows):
        return Reading(body, usage)
    if not rows and error_answers.is_error(document):
        raise ErrorInside(lenient.plain(document), usage)
    raise Unanswered("with an empty embedding" if rows else "without embeddings", usage)


def _rows(document: Mapping[str, Any]) -> list[Any]:
    """Titan's one vector, or Cohere's list of them."""
    one, several = document.get("embedding"), document.get("embeddings")
    if isinstance(several, dict):
        several = several.get("float")
    rows = [one] if one is not None else several if isinstance(several, list) else []
    return rows if all(isinstance(row, list) for row in rows) else []


def _usage(document: Mapping[str, Any]) -> Usage | None:
    """Only Titan reports any."""
    count = first_count(document.get("inputTextTokenCount"))
    return None if count is None else Usage(within(count))


def _packed(row: list[Any]) -> str:
    """Raises Unreadable."""
    try:
        return vectors.packed(row)
    except ValueError as error:
        raise Unreadable(str(error)) from None


def _texts(asked: Fields) -> list[str]:
    given = value_of(asked, "input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise refused("anything but text to embed", "input")
    return texts


def _named(asked: Fields, names: tuple[str, ...]) -> dict[str, Any]:
    found = {name: value_of(asked, name) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _fields(values: Mapping[str, Any]) -> Fields:
    return {name: msgspec.Raw(_encode(value)) for name, value in values.items() if value is not None}
