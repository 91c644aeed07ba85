"""A unary answer of a chat: its validity and its usage.

Owns: distinguishing an answer from an error, and from a message that says nothing.

An empty message with a finish reason is an answer.
"""

from __future__ import annotations

from typing import Any

from meshd.formats.cohere.usage import usage_in
from meshd.formats.cohere.wire import failed_in, said_in
from meshd.formats.errors import error_answers
from meshd.formats.errors.not_answers import ErrorInside, Unanswered
from meshd.formats.openai.wire import document_of
from meshd.formats.protocol import Reading
from meshd.sdk.reading import lenient


def read_answer(body: bytes) -> Reading:
    """Raises NotAnAnswer."""
    document, body = document_of(body)
    usage, message = usage_in(document.get("usage")), document.get("message")
    said = said_in(message) if isinstance(message, dict) else ("", "", "")
    if (error := failed_in(document)) is not None:
        raise ErrorInside(error, usage, "".join(said))
    if isinstance(message, dict):
        if any(said) or document.get("finish_reason"):
            return Reading(body, usage, sum(map(len, said)))
        raise Unanswered("with an empty message", usage)
    refuse(document)
    raise Unanswered("without a message", usage)


def refuse(document: dict[str, Any]) -> None:
    """Raises ErrorInside for a document without an answer that is an error."""
    if (
        error_answers.is_error({**document, "usage": None, "meta": None})
        or error_answers.of_object(document) is not error_answers.Sign.ALIVE
    ):
        raise ErrorInside(lenient.plain(document))


def as_stream(body: bytes) -> list[bytes]:
    """A unary answer as the events of a stream."""
    document, _ = document_of(body)
    message = document.get("message")
    message = message if isinstance(message, dict) else {}
    content, calls = message.get("content"), message.get("tool_calls")
    events: list[dict[str, Any]] = [
        {"type": "message-start", "id": document.get("id"), "delta": {"message": {"role": "assistant"}}}
    ]
    for index, block in enumerate(content if isinstance(content, list) else [{"type": "text", "text": content}]):
        if isinstance(block, dict) and (block.get("text") or block.get("thinking")):
            events.append({"type": "content-delta", "index": index, "delta": {"message": {"content": block}}})
    if message.get("tool_plan"):
        events.append({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": message["tool_plan"]}}})
    for index, call in enumerate(calls if isinstance(calls, list) else ()):
        events.append({"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls": call}}})
    end = {name: document[name] for name in ("finish_reason", "usage") if document.get(name) is not None}
    events.append({"type": "message-end", "id": document.get("id"), "delta": {"finish_reason": "COMPLETE", **end}})
    return [lenient.encode(event) for event in events]
