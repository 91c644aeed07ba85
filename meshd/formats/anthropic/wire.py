"""Anthropic's wire format: only as much of an answer as the mesh must understand.

Owns: reading usage, stop reasons, content and errors from messages and stream events.
Must never: change a byte that is passed on, or refuse an answer for a field that it does not need.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from meshd.formats.anthropic.usage import usage_in
from meshd.formats.errors import error_answers
from meshd.formats.errors.not_answers import ErrorInside, NotAnEvent, no_event
from meshd.formats.openai.wire import document_of, is_broken_off
from meshd.sdk.provider import StreamEvent, Usage
from meshd.sdk.reading import lenient

FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""Stop reasons in the words of `StreamEvent.finish_reason`, which are the same for all formats."""
EVENTS = frozenset(
    {"message_start", "message_delta", "message_stop", "content_block_start", "content_block_delta",
     "content_block_stop", "ping"}
)  # fmt: skip
_THINKING = ("thinking", "redacted_thinking")
_BESIDE = frozenset({"type", "citations", "signature", "caller"})


class _Delta(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None


class _BlockDelta(msgspec.Struct, gc=False):
    """The events that most of a stream is made of."""

    type: str
    delta: _Delta
    index: int = 0
    error: None = None


_decode = msgspec.json.Decoder(_BlockDelta).decode


class ReadEvent(NamedTuple):
    """type: of the event. block: its number, -1 for none."""

    event: StreamEvent
    type: str
    block: int = -1


def read_event(data: bytes, name: bytes = b"", before: Usage | None = None) -> ReadEvent:
    """One event of a stream. name: as the stream calls it. before: the usage reported so far. Raises NotAnAnswer,
    NotAnEvent."""
    try:
        event = _decode(data)
    except lenient.UNREADABLE:
        return _read_object(*document_of(data), name, before)
    delta = event.delta
    match delta.type:
        case "text_delta" if delta.text is not None:
            return ReadEvent(StreamEvent(data, bool(delta.text), delta.text), event.type, event.index)
        case "thinking_delta" if delta.thinking is not None:
            thought = StreamEvent(data, bool(delta.thinking), reasoning=delta.thinking)
            return ReadEvent(thought, event.type, event.index)
        case "input_json_delta" if delta.partial_json is not None:
            piece = StreamEvent(data, bool(delta.partial_json), extra=delta.partial_json)
            return ReadEvent(piece, event.type, event.index)
    return _read_object(*document_of(data), name, before)


def _read_object(document: dict[str, Any], data: bytes, name: bytes, before: Usage | None) -> ReadEvent:
    """The same for an event of another kind, or one that is written oddly."""
    kind = document.get("type")
    if not isinstance(kind, str) or not kind:
        kind = name.decode(errors="replace")
        if kind not in EVENTS:
            raise no_event(document, error_inside)
        document = {"type": kind, **{key: value for key, value in document.items() if key != "type"}}
        data = lenient.encode(document)
    if kind == "error" or error_answers.says_something(document.get("error")):
        raise error_inside(lenient.plain(document), document)
    if kind == "ping":
        raise NotAnEvent
    match kind:
        case "message_start":
            return ReadEvent(StreamEvent(data, usage=usage_in(_map(document.get("message")).get("usage"))), kind)
        case "content_block_start":
            text, thought, extra = said_in(_map(document.get("content_block")))
            content = bool(text or thought or extra)
            return ReadEvent(StreamEvent(data, content, text, reasoning=thought, extra=extra), kind, index_of(document))
        case "content_block_delta":
            return ReadEvent(_delta(data, _map(document.get("delta"))), kind, index_of(document))
        case "content_block_stop":
            return ReadEvent(StreamEvent(data), kind, index_of(document))
        case "message_delta":
            return ReadEvent(_message_delta(document, data, before), kind)
        case "message_stop":
            return ReadEvent(StreamEvent(data), kind)
    if error_answers.calls_itself_error(document):
        raise error_inside(lenient.plain(document), document)
    if not document.keys() & {"message", "delta", "index"}:
        raise no_event(document, error_inside)
    return ReadEvent(StreamEvent(data), kind)  # an event newer than this code


def error_inside(error: bytes, document: Mapping[str, Any]) -> ErrorInside:
    """An error, with the usage and the text that the message has beside it."""
    content = document.get("content")
    blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    said = "".join(text for block in blocks for text in said_in(block))
    return ErrorInside(error, usage_in(document.get("usage")), said)


def _delta(data: bytes, delta: Mapping[str, Any]) -> StreamEvent:
    """A delta of any type; an unknown one counts as part of the answer."""
    match delta.get("type"):
        case "text_delta":
            text = _text(delta.get("text"))
            return StreamEvent(data, bool(text), text)
        case "thinking_delta":
            thought = _text(delta.get("thinking"))
            return StreamEvent(data, bool(thought), reasoning=thought)
        case "signature_delta":
            return StreamEvent(data)
        case "input_json_delta":
            piece = _text(delta.get("partial_json"))
            return StreamEvent(data, bool(piece), extra=piece)
        case "citations_delta":
            return StreamEvent(data, True)
    extra = lenient.encode({key: value for key, value in delta.items() if key != "type" and value}).decode()
    extra = "" if extra == "{}" else extra
    return StreamEvent(data, bool(extra), extra=extra)


def _message_delta(document: Mapping[str, Any], data: bytes, before: Usage | None) -> StreamEvent:
    reason = _map(document.get("delta")).get("stop_reason")
    finish = None
    if isinstance(reason, str) and reason:
        finish = FINISHES.get(reason)
        if finish is None and is_broken_off(reason):
            raise error_inside(_broken_off(reason), document)
        finish = finish or "stop"
    report = document.get("usage")
    usage = usage_in(report, before) if isinstance(report, dict) else None
    return StreamEvent(data, finish_reason=finish, usage=usage)


def _broken_off(reason: str) -> bytes:
    return lenient.plain({"error": {"message": f"the provider cut its answer off: {reason}"}})


def said_in(block: Mapping[str, Any]) -> tuple[str, str, str]:
    """A block's text, its reasoning, and what is more than text: a tool call, as JSON."""
    kind = block.get("type")
    if kind == "text":
        return _text(block.get("text")), "", ""
    if kind in _THINKING:
        return "", _text(block.get("thinking")), ""
    more = {name: value for name, value in block.items() if name not in _BESIDE and value not in (None, "", {}, [])}
    return "", "", lenient.encode(more).decode() if more else ""


def failed_in(document: Mapping[str, Any]) -> bytes | None:
    """The error if a message is an error, or ended early; else None."""
    if document.get("type") == "error" or error_answers.is_flagged(document):
        return lenient.plain(document)
    reason = document.get("stop_reason")
    if isinstance(reason, str) and reason not in FINISHES and is_broken_off(reason):
        return _broken_off(reason)
    return None


def index_of(document: Mapping[str, Any]) -> int:
    """The index of an event's block, of any type."""
    index = document.get("index")
    try:
        return int(index) if isinstance(index, int | float | str) else 0
    except (ValueError, OverflowError):
        return 0


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
