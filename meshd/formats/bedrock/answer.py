"""A unary answer: a message, its validity and its usage.

Owns: distinguishing an answer from an error, and from a message that says nothing.
Must never: refuse an answer for a field that it does not need.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html, 2026-11-28
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshd.formats.bedrock.usage import usage_in
from meshd.formats.bedrock.wire import finish_in, said_in
from meshd.formats.errors import error_answers
from meshd.formats.errors.not_answers import ErrorInside, Unanswered
from meshd.formats.openai.wire import document_of
from meshd.formats.protocol import Reading
from meshd.sdk.reading import lenient


def read_answer(body: bytes) -> Reading:
    """Raises NotAnAnswer."""
    document, body = document_of(body)
    usage, blocks = usage_in(document.get("usage")), _blocks(document)
    said = [text for block in blocks for text in said_in(block)]
    try:
        reason = finish_in(document.get("stopReason"))
    except ErrorInside as broken:
        raise ErrorInside(broken.error, usage, "".join(said)) from None
    size = sum(map(len, said))
    if size or blocks or (reason is not None and isinstance(document.get("output"), dict)):
        return Reading(body, usage, size)
    if error_answers.is_error({**document, "usage": None}):
        raise ErrorInside(lenient.plain(document), usage)
    if "choices" in document:
        raise Unanswered("in OpenAI's format: is its connector or its base_url the right one?", usage)
    if error_answers.of_object(document) is not error_answers.Sign.ALIVE:
        raise ErrorInside(lenient.plain(document), usage)
    raise Unanswered("without content", usage)


def _blocks(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    output = document.get("output")
    message = output.get("message") if isinstance(output, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def as_stream(body: bytes) -> list[bytes]:
    """A unary answer as the events of a stream."""
    document, _ = document_of(body)
    events: list[dict[str, Any]] = [{"messageStart": {"role": "assistant"}}]
    for index, block in enumerate(_blocks(document)):
        start, deltas = _begun(block)
        at = {"contentBlockIndex": index}
        events += [{"contentBlockStart": {"start": start, **at}}] if start else []
        events += [{"contentBlockDelta": {"delta": delta, **at}} for delta in deltas]
        events.append({"contentBlockStop": at})
    events.append({"messageStop": {"stopReason": document.get("stopReason") or "end_turn"}})
    events.append({"metadata": {"usage": document.get("usage")}})
    return [lenient.encode(event) for event in events]


def _begun(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A block as it starts, and the deltas with the rest of it."""
    if isinstance(used := block.get("toolUse"), dict):
        start = {name: value for name, value in used.items() if name != "input"}
        return {"toolUse": start}, [{"toolUse": {"input": lenient.encode(used.get("input") or {}).decode()}}]
    if isinstance(thought := block.get("reasoningContent"), dict):
        told = thought.get("reasoningText")
        deltas = [{name: value} for name, value in (told if isinstance(told, dict) else thought).items()]
        return {}, [{"reasoningContent": delta} for delta in deltas]
    if isinstance(cited := block.get("citationsContent"), dict):
        content, citations = cited.get("content"), cited.get("citations")
        deltas = [{"text": text} for text in [said_in(block)[0]] if isinstance(content, list)]
        return {}, [*deltas, *({"citation": each} for each in citations or () if isinstance(citations, list))]
    return {}, [block]
