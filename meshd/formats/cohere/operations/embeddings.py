"""Embeddings: OpenAI's `/v1/embeddings` as Cohere's `/v2/embed`.

Owns: what each form calls the same thing. Cohere's own parameters (`input_type`, `truncate`, `embedding_types`, …) are
passed on as an app gives them; without `input_type`, which its models require, texts are documents to be searched.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshd.formats.cohere.answer import refuse
from meshd.formats.cohere.refused import refused
from meshd.formats.cohere.usage import usage_in
from meshd.formats.conversation.reading import Unreadable
from meshd.formats.errors.not_answers import Unanswered
from meshd.formats.keeping import Fields
from meshd.formats.openai.body.values import value_of
from meshd.formats.openai.wire import document_of
from meshd.formats.protocol import Reading
from meshd.sdk.reading.lenient import UNREADABLE

MOST_TEXTS = 96
"""The most texts in one request: https://docs.cohere.com/reference/embed."""
_USUAL_INPUT = msgspec.Raw(b'"search_document"')
_TYPES = frozenset({"float", "base64", "int8", "uint8", "binary", "ubinary"})
_PASSED_ON = ("input_type", "truncate", "max_tokens", "priority")
_RENAMED = {"dimensions": "output_dimension", "output_dimension": "output_dimension"}
_encode = msgspec.json.Encoder().encode


class _Vectors(msgspec.Struct):
    """Numbers stay raw: there are thousands of them."""

    embeddings: dict[str, list[msgspec.Raw] | None]
    meta: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(_Vectors).decode


class EmbeddingsTranslator:
    """See `formats/protocol.py:OperationTranslator`."""

    def write_request(self, asked: Fields, model: str) -> Fields:
        made: dict[str, msgspec.Raw] = {"input_type": _USUAL_INPUT}
        made |= {name: asked[name] for name in _PASSED_ON if _is_given(asked, name)}
        made |= {ours: asked[name] for name, ours in _RENAMED.items() if _is_given(asked, name)}
        return {**made, "texts": _raw(_texts(asked)), "embedding_types": _raw([_type(asked)])}

    def read_answer(self, body: bytes, asked: Fields, model: str) -> bytes:
        try:
            answer = _decode(body)
        except UNREADABLE as error:
            raise Unreadable(str(error)) from None
        usage, rows = usage_in(answer.meta), answer.embeddings.get(_type(asked)) or []
        tokens = 0 if usage is None else usage.input_tokens
        data = [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)]
        report = {"prompt_tokens": tokens, "total_tokens": tokens}
        return _encode({"object": "list", "data": data, "model": model, "usage": report})


def read_embeddings(body: bytes) -> Reading:
    """A unary answer from Cohere. Raises NotAnAnswer."""
    try:
        answer = _decode(body)
    except UNREADABLE:
        document, _ = document_of(body)
        refuse(document)
        raise Unanswered("without embeddings", usage_in(document.get("meta"))) from None
    rows = [row for kind in answer.embeddings.values() for row in kind or ()]
    if not rows or any(bytes(row) in (b"[]", b"null", b'""') for row in rows):
        raise Unanswered("with an empty embedding" if rows else "without embeddings", usage_in(answer.meta))
    return Reading(body, usage_in(answer.meta))


def _texts(asked: Fields) -> list[str]:
    given = value_of(asked, "input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise refused("anything but text to embed", "input")
    if len(texts) > MOST_TEXTS:
        raise refused(f"more than {MOST_TEXTS} texts to embed at once", "input")
    return texts


def _type(asked: Fields) -> str:
    """The one type of the vectors: OpenAI's form has no place for several."""
    given = value_of(asked, "embedding_types")
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    name = "embedding_types" if given is not None else "encoding_format"
    kind = given if given is not None else value_of(asked, "encoding_format") or "float"
    if not isinstance(kind, str) or kind not in _TYPES:
        raise refused(f"any but one of {', '.join(sorted(_TYPES))} as the type of the vectors", name)
    return kind


def _is_given(asked: Fields, name: str) -> bool:
    return name in asked and bytes(asked[name]) != b"null"


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(_encode(value))
