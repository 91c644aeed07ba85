"""Reranking: the mesh's `/v1/rerank`, which is the older form of Cohere's, as Cohere's `/v2/rerank`.

Owns: what the second version lacks. Documents in answers are added again (`return_documents`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshd.formats.cohere.refused import refused
from meshd.formats.conversation.reading import Unreadable
from meshd.formats.keeping import Fields
from meshd.sdk.reading.lenient import UNREADABLE

_PASSED_ON = ("query", "top_n", "max_tokens_per_doc", "priority")
_NOT_TAKEN = ("rank_fields", "max_chunks_per_doc")
_encode = msgspec.json.Encoder().encode
_any = msgspec.json.Decoder().decode


class RerankTranslator:
    """See `formats/protocol.py:OperationTranslator`."""

    def write_request(self, asked: Fields, model: str) -> Fields:
        for name in _NOT_TAKEN:
            if bytes(asked.get(name, b"null")) != b"null":
                raise refused(f"`{name}`", name)
        made = {name: asked[name] for name in _PASSED_ON if bytes(asked.get(name, b"null")) != b"null"}
        return {**made, "documents": msgspec.Raw(_encode([_text(each) for each in _documents(asked)]))}

    def read_answer(self, body: bytes, asked: Fields, model: str) -> bytes:
        if bytes(asked.get("return_documents", b"false")) != b"true":
            return body
        documents = _documents(asked)
        try:
            answer = _any(body)
            for result in answer["results"]:
                result["document"] = {"text": _text(documents[result["index"]])}
        except (*UNREADABLE, LookupError, TypeError) as error:
            raise Unreadable(f"no results of these documents: {error}") from None
        return _encode(answer)


def _documents(asked: Fields) -> list[Any]:
    try:
        documents = _any(asked.get("documents", b"null"))
    except UNREADABLE:
        documents = None
    if not isinstance(documents, list):
        raise refused("anything but a list of documents", "documents")
    return documents


def _text(document: Any) -> str:
    text = document.get("text") if isinstance(document, dict) and len(document) == 1 else document
    if not isinstance(text, str):
        raise refused("documents other than a text, or a map with one `text`", "documents")
    return text
