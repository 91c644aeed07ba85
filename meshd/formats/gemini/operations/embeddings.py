"""Embeddings: OpenAI's form as `batchEmbedContents`, and its answer.

Owns: what each field becomes. Loaded when two formats meet.

https://ai.google.dev/api/embeddings, 2026-11-28
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.core.needs import BYTES_PER_TOKEN
from meshd.formats.conversation.reading import Unreadable, answer_of
from meshd.formats.gemini.body.values import listed
from meshd.formats.gemini.conversation.content import refused
from meshd.formats.gemini.usage import usage_in
from meshd.sdk.reading import lenient, vectors

_TASKS = {
    "search_query": "RETRIEVAL_QUERY",
    "search_document": "RETRIEVAL_DOCUMENT",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
    "query": "RETRIEVAL_QUERY",
    "document": "RETRIEVAL_DOCUMENT",
}
"""`input_type`, as Cohere's, Voyage's and NVIDIA's APIs have it."""
Fields = Mapping[str, msgspec.Raw]


class GeminiEmbeddings:
    """See `formats/protocol.py:OperationTranslator`."""

    def write_request(self, asked: Fields, model: str) -> Fields:
        options: dict[str, Any] = {}
        if (size := _value(asked, "dimensions")) is not None:
            options["outputDimensionality"] = size
        kind = _value(asked, "input_type")
        if isinstance(kind, str):
            options["taskType"] = _TASKS.get(kind.lower(), kind)
        name = model if "/" in model else f"models/{model}"
        requests = [
            {"model": name, "content": {"parts": [{"text": text}]}, **options}
            for text in _texts(_value(asked, "input"))
        ]
        return {"requests": msgspec.Raw(msgspec.json.encode(requests))}

    def read_answer(self, body: bytes, asked: Fields, model: str) -> bytes:
        document = answer_of(body)
        given = [each.get("values") for each in listed(document.get("embeddings")) if isinstance(each, dict)]
        vectors = [vector for vector in given if isinstance(vector, list)]
        if not vectors or len(vectors) < len(given):
            raise Unreadable("it has no embeddings")
        packed = _value(asked, "encoding_format") == "base64"
        usage = usage_in(document.get("usageMetadata"))
        tokens = _estimated(asked) if usage is None else usage.input_tokens
        data = [
            {"object": "embedding", "index": index, "embedding": _packed(vector) if packed else vector}
            for index, vector in enumerate(vectors)
        ]
        used = {"prompt_tokens": tokens, "total_tokens": tokens}
        return lenient.encode({"object": "list", "data": data, "model": model, "usage": used})


def _texts(given: Any) -> list[str]:
    """Raises InvalidRequestError."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
        raise refused("anything but texts to embed, none of them empty", "input")
    return texts


def _estimated(asked: Fields) -> int:
    """Google does not always say how many tokens there were."""
    return max(len(asked.get("input", b"")) // BYTES_PER_TOKEN, 1)


def _packed(vector: list[Any]) -> str:
    """Raises Unreadable."""
    try:
        return vectors.packed(vector)
    except ValueError as error:
        raise Unreadable(str(error)) from None


def _value(fields: Fields, name: str) -> Any:
    try:
        return msgspec.json.decode(lenient.whole(bytes(fields[name])))
    except (KeyError, *lenient.UNREADABLE):
        return None
