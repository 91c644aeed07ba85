"""Vectors: a provider's answer to `batchEmbedContents`, and requests of apps to this API's two methods, in OpenAI's
form.

Owns: what each field of an app's request becomes. Must never: choose a model.

https://ai.google.dev/api/embeddings, 2026-11-28
"""

from __future__ import annotations

from typing import Any

from meshd.formats.errors import error_answers
from meshd.formats.errors.not_answers import Unanswered
from meshd.formats.gemini.body.values import listed, member, parts_of
from meshd.formats.gemini.usage import usage_in
from meshd.formats.gemini.wire import error_inside
from meshd.formats.openai.wire import document_of
from meshd.formats.protocol import Reading
from meshd.sdk.reading import lenient
from modelmesh.errors import InvalidRequestError

_TYPES = {"RETRIEVAL_QUERY": "search_query", "RETRIEVAL_DOCUMENT": "search_document"}
_MOST = 10_000  # texts


def read_vectors(body: bytes) -> Reading:
    """A provider's answer. Raises NotAnAnswer."""
    document, body = document_of(body)
    if error_answers.is_flagged(document):
        raise error_inside(lenient.plain(document), document)
    vectors = listed(document.get("embeddings"))
    if vectors and all(isinstance(each, dict) and each.get("values") for each in vectors):
        return Reading(body, usage_in(document.get("usageMetadata")))
    if error_answers.is_error(document):
        raise error_inside(lenient.plain(document), document)
    raise Unanswered("without embeddings")


# -- apps ---------------------------------------------------------------------------------------------------


def as_openai(body: bytes, model: str, *, batch: bool) -> bytes:
    """A request to `embedContent` or `batchEmbedContents` as one to OpenAI's API. Raises InvalidRequestError."""
    try:
        fields = lenient.decode(body)
    except lenient.NotJSON as error:
        raise InvalidRequestError(f"the body is not JSON: {error}", code="invalid_json") from None
    if not isinstance(fields, dict):
        raise InvalidRequestError("the body is not a JSON object", code="invalid_json")
    requests = listed(fields.get("requests")) if batch else [fields]
    if not requests or len(requests) > _MOST or not all(isinstance(each, dict) for each in requests):
        raise InvalidRequestError(f"`requests` has to be a list of 1 to {_MOST} requests", param="requests")
    options = [_options(each) for each in requests]
    if any(each != options[0] for each in options):
        where = "requests"
        raise InvalidRequestError(f"`{where}` must have one task and one size for all texts", param=where)
    texts = [_text(each, f"requests[{n}].content" if batch else "content") for n, each in enumerate(requests)]
    return lenient.encode({"model": model, "input": texts, **options[0]})


def _options(request: dict[str, Any]) -> dict[str, Any]:
    size, task = (
        member(request, "outputDimensionality", "output_dimensionality"),
        member(request, "taskType", "task_type"),
    )
    made: dict[str, Any] = {} if size is None else {"dimensions": size}
    if isinstance(task, str) and task != "TASK_TYPE_UNSPECIFIED":
        made["input_type"] = _TYPES.get(task, task.lower())
    return made


def _text(request: dict[str, Any], where: str) -> str:
    parts = parts_of(request.get("content"))
    if not parts or not all(isinstance(part.get("text"), str) for part in parts):
        raise InvalidRequestError(f"`{where}` has to have parts with text", param=where)
    return "\n".join(part["text"] for part in parts)


def as_gemini(body: bytes, *, batch: bool) -> bytes:
    """OpenAI's answer in the form of this API."""
    document = lenient.decode(body)
    data = document.get("data") if isinstance(document, dict) else None
    vectors = [{"values": each.get("embedding")} for each in listed(data) if isinstance(each, dict)]
    usage = document.get("usage") if isinstance(document, dict) else None
    tokens = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    used = {"usageMetadata": {"promptTokenCount": tokens, "totalTokenCount": tokens}} if tokens else {}
    if batch or len(vectors) != 1:
        return lenient.encode({"embeddings": vectors, **used})
    return lenient.encode({"embedding": vectors[0], **used})
