"""Embeddings by Vertex AI, which has another method for them than the Gemini API: `embedContent` for Gemini's models,
one text at a time, and `predict` for others.

Owns: converting a `batchEmbedContents` body into theirs, and their answer into that of `batchEmbedContents`.

https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api and google-genai 3.6.1
(`embedding_api_type`), read on 28 November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.formats.errors.not_answers import Broken
from meshd.formats.gemini.body.values import listed
from meshd.formats.openai.usage import first_count
from meshd.formats.openai.wire import document_of
from meshd.sdk.provider import FailureKind, ProviderFailure
from meshd.sdk.reading import lenient

Fields = Mapping[str, msgspec.Raw]
_OPTIONS = ("taskType", "title", "outputDimensionality", "autoTruncate")


def embeds_content(model: str) -> bool:
    """Whether its method is `embedContent`."""
    return "gemini" in model.rpartition("/")[2]


def method(model: str) -> str:
    return "embedContent" if embeds_content(model) else "predict"


def written(fields: Fields, model: str) -> dict[str, Any]:
    """fields: of `batchEmbedContents`; of other calls, the same. Raises ProviderFailure for too many texts."""
    if "requests" not in fields:
        return dict(fields)
    requests = msgspec.json.decode(fields["requests"])
    if embeds_content(model) and len(requests) > 1:
        message = f"Vertex AI embeds one text at a time with {model}: set the quirk `at_once`"
        raise ProviderFailure(FailureKind.UNSUPPORTED, message, unsent=True)
    options = {name: requests[0][name] for name in _OPTIONS if name in requests[0]}
    if embeds_content(model):
        return {"content": requests[0]["content"]} | ({"embedContentConfig": options} if options else {})
    task = {"task_type": options.pop("taskType")} if "taskType" in options else {}
    instances = [{"content": each["content"]["parts"][0]["text"], **task} for each in requests]
    return {"instances": instances} | ({"parameters": options} if options else {})


def as_batch(body: bytes) -> bytes:
    """The answer in the form of `batchEmbedContents`; anything else as it came."""
    try:
        document, _ = document_of(body)
    except Broken:
        return body
    one, predictions = document.get("embedding"), listed(document.get("predictions"))
    if isinstance(one, dict):
        usage = {name: document[name] for name in ("usageMetadata",) if name in document}
        return lenient.encode({"embeddings": [one], **usage})
    if not predictions:
        return body
    made = [each.get("embeddings") if isinstance(each, dict) else None for each in predictions]
    found = [each if isinstance(each, dict) else {} for each in made]
    counts = [first_count(_map(each.get("statistics")).get("token_count")) for each in found]
    tokens = sum(count for count in counts if count is not None)
    usage = {"usageMetadata": {"promptTokenCount": tokens, "totalTokenCount": tokens}} if None not in counts else {}
    return lenient.encode({"embeddings": [{"values": each.get("values")} for each in found], **usage})


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
