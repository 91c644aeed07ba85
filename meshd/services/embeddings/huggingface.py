"""Hugging Face's embeddings: https://huggingface.co/docs/inference-providers/tasks/feature-extraction and
https://huggingface.co/docs/inference-providers/providers/hf-inference (read 2026-11-28).

`hf-inference` runs the models; https://github.com/huggingface/text-embeddings-inference answers for most of them, tells
the tokens in a header, and takes 32 texts at once. A model that is not made for sentences gives vectors of tokens,
which is not what was asked.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from meshd.core.needs import BYTES_PER_TOKEN
from meshd.sdk.reading import vectors
from meshd.services.seam import Ask, Asked, Malformed, Result, Service, Steps, cannot, segment, wrong

_TASK = "pipeline/feature-extraction"
_OWN = ("normalize", "prompt_name", "truncate", "truncation_direction")
"""Fields that the provider knows by these names."""


class _Embeddings(msgspec.Struct):
    input: Any
    encoding_format: Literal["float", "base64"] = "float"
    normalize: bool | None = None
    prompt_name: str | None = None
    truncate: bool | None = None
    truncation_direction: Literal["left", "right", "Left", "Right"] | None = None


def embed(asked: Asked) -> Steps:
    given = asked.read(_Embeddings)
    texts = [given.input] if isinstance(given.input, str) else given.input
    if not isinstance(texts, list) or not texts:
        raise wrong("input", "a text, or a list of texts, is needed")
    if not all(isinstance(each, str) for each in texts):
        raise cannot("input", "which has more than texts")
    own = {name: value for name in _OWN if (value := getattr(given, name)) is not None}
    model = "/".join(segment(each) for each in asked.model.split("/"))
    told = yield Ask("POST", f"models/{model}/{_TASK}", json={"inputs": texts, **own}, host="inference")
    rows = _rows(told.json(), len(texts))
    if given.encoding_format == "base64":
        rows = [_packed(row) for row in rows]
    tokens = _count(told.headers.get("x-compute-tokens", ""))
    size = sum(len(text.encode(errors="replace")) for text in texts)
    used = max(size // BYTES_PER_TOKEN, 1) if tokens is None else tokens
    data = [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)]
    document = {"object": "list", "data": data, "usage": {"prompt_tokens": used, "total_tokens": used}}
    return Result(document, input_tokens=tokens)


def _rows(answer: Any, count: int) -> list[Any]:
    """A vector for each text. Raises Malformed."""
    if not isinstance(answer, list) or len(answer) != count:
        raise Malformed("without a vector for each text")
    for row in answer:
        if not isinstance(row, list) or not row:
            raise Malformed("without a vector for each text")
        if isinstance(row[0], list):
            raise Malformed("with vectors of tokens: the model is not made for embedding texts")
        if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in row):
            raise Malformed("with vectors that are not made of numbers")
    return answer


def _packed(row: list[Any]) -> str:
    try:
        return vectors.packed(row)
    except ValueError:
        raise Malformed("with vectors that are not made of numbers") from None


def _count(header: str) -> int | None:
    """Tokens, if the header tells a number that can be one."""
    return int(header) if header.isascii() and header.isdigit() and len(header) < 10 else None


HUGGINGFACE = Service({"embeddings": embed})
