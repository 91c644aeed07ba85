"""A unary answer: a message, its validity and its usage.

Owns: distinguishing an answer from an error, and from a message that says nothing.
Must never: change a byte that an app can read, or refuse an answer for a field that it does not need.

An empty content with a stop reason is an answer: so is one to `max_tokens: 0`, which only fills a cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.formats.anthropic.usage import usage_in
from meshd.formats.anthropic.wire import error_inside, failed_in, said_in
from meshd.formats.errors import error_answers
from meshd.formats.errors.not_answers import Broken, Unanswered
from meshd.formats.openai.records import NULL
from meshd.formats.openai.wire import document_of
from meshd.formats.protocol import Reading
from meshd.sdk.reading import lenient


class _Block(msgspec.Struct, gc=False):
    type: str
    text: str = ""
    thinking: str = ""
    input: msgspec.Raw = NULL


class _Message(msgspec.Struct):
    content: list[_Block]
    stop_reason: str
    usage: dict[str, Any]
    type: str = "message"
    error: msgspec.Raw = NULL


_decode = msgspec.json.Decoder(_Message).decode
_USUAL = frozenset({"end_turn", "tool_use", "max_tokens", "stop_sequence"})
_USUAL_BLOCKS = frozenset({"text", "thinking", "tool_use"})


def read_answer(body: bytes) -> Reading:
    """Raises NotAnAnswer."""
    try:
        message = _decode(body)
    except lenient.UNREADABLE:
        return _read_oddly(body)
    blocks = message.content
    usual = message.type == "message" and message.error is NULL and message.stop_reason in _USUAL
    if not usual or not blocks or not all(block.type in _USUAL_BLOCKS for block in blocks):
        return _read_oddly(body)
    size = sum(len(block.text) + len(block.thinking) for block in blocks)
    size += sum(len(memoryview(block.input)) for block in blocks if block.input is not NULL)
    return Reading(body, usage_in(message.usage), size)


def _read_oddly(body: bytes) -> Reading:
    document, body = document_of(body)
    if (error := failed_in(document)) is not None:
        raise error_inside(error, document)
    usage = usage_in(document.get("usage"))
    content, reason = document.get("content"), document.get("stop_reason")
    if isinstance(content, list):
        said = [said_in(block) for block in content if isinstance(block, dict)]
        size = sum(len(text) for each in said for text in each)
        if size or content or (isinstance(reason, str) and reason):
            return Reading(body, usage, size)
        raise Unanswered("with an empty message", usage)
    if error_answers.is_error({**document, "usage": None}):
        raise error_inside(lenient.plain(document), document)
    if "choices" in document:
        raise Unanswered("in OpenAI's format: is its connector or its base_url the right one?", usage)
    if error_answers.of_object(document) is not error_answers.Sign.ALIVE:
        raise error_inside(lenient.plain(document), document)
    raise Unanswered("without content", usage)


def answer_text(body: bytes) -> str:
    """See `AppSide.answer_text`."""
    try:
        content = document_of(body)[0].get("content")
    except Broken:
        content = None
    if not isinstance(content, list):
        return body.decode(errors="replace")
    return "\n".join(text for block in content if isinstance(block, dict) for text in said_in(block) if text)


def as_stream(body: bytes) -> list[bytes]:
    """A unary answer as the events of a stream."""
    document, _ = document_of(body)
    content = document.get("content")
    head = {**document, "content": [], "stop_reason": None, "stop_sequence": None}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": head}]
    blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    for index, block in enumerate(blocks):
        start, deltas = _begun(block)
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": document.get("stop_reason") or "end_turn", "stop_sequence": document.get("stop_sequence")}
    delta |= {name: document[name] for name in ("stop_details", "container") if document.get(name) is not None}
    usage = document.get("usage")
    events.append({"type": "message_delta", "delta": delta, "usage": usage if isinstance(usage, dict) else {}})
    events.append({"type": "message_stop"})
    return [lenient.encode(event) for event in events]


def _begun(block: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A block as it starts, and the deltas with the rest of it."""
    kind, start = block.get("type"), dict(block)
    deltas: list[dict[str, Any]] = []
    if kind == "text":
        start["text"] = ""
        if block.get("citations"):
            start["citations"] = []
            citations = block["citations"] if isinstance(block["citations"], list) else []
            deltas += [{"type": "citations_delta", "citation": citation} for citation in citations]
        deltas.append({"type": "text_delta", "text": block.get("text")})
    elif kind == "thinking":
        start |= {"thinking": "", "signature": ""}
        deltas.append({"type": "thinking_delta", "thinking": block.get("thinking")})
        deltas.append({"type": "signature_delta", "signature": block.get("signature") or ""})
    elif isinstance(block.get("input"), dict):
        start["input"] = {}
        deltas.append({"type": "input_json_delta", "partial_json": lenient.encode(block["input"]).decode()})
    return start, deltas
