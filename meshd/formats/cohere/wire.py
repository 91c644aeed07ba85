"""Cohere's wire format of a chat: only as much of an answer as the mesh must understand.

Owns: reading usage, finish reasons, content and errors from answers and stream events.
Must never: refuse an answer for a field that it does not need.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from meshd.formats.cohere.usage import usage_in
from meshd.formats.errors import error_answers
from meshd.formats.errors.not_answers import ErrorInside, no_event
from meshd.formats.openai.wire import document_of
from meshd.sdk.provider import StreamEvent
from meshd.sdk.reading import lenient

FINISHES = {"COMPLETE": "stop", "STOP_SEQUENCE": "stop", "MAX_TOKENS": "length", "TOOL_CALL": "tool_calls"}
"""Finish reasons in the words of `StreamEvent.finish_reason`, which are the same for all formats."""
EVENTS = frozenset(
    {"message-start", "content-start", "content-delta", "content-end", "tool-plan-delta", "tool-call-start",
     "tool-call-delta", "tool-call-end", "citation-start", "citation-end", "message-end", "debug"}
)  # fmt: skip
_FAILED = ("ERROR", "TIMEOUT", "USER_CANCEL")


class _Content(msgspec.Struct, gc=False):
    text: str | None = None
    thinking: str | None = None


class _Message(msgspec.Struct, gc=False):
    content: _Content


class _Delta(msgspec.Struct, gc=False):
    message: _Message


class _ContentDelta(msgspec.Struct, gc=False, tag_field="type", tag="content-delta"):
    """The events that most of a stream consists of."""

    delta: _Delta
    error: None = None


_decode = msgspec.json.Decoder(_ContentDelta).decode


class ReadEvent(NamedTuple):
    """type: of the event. call: the number of the tool call that it belongs to, -1 for none."""

    event: StreamEvent
    type: str
    call: int = -1


def read_event(data: bytes, name: bytes = b"") -> ReadEvent:
    """One event of a stream. name: as the stream calls it. Raises NotAnAnswer, NotAnEvent."""
    try:
        content = _decode(data).delta.message.content
    except lenient.UNREADABLE:
        return _read_object(*document_of(data), name)
    text, thought = content.text or "", content.thinking or ""
    return ReadEvent(StreamEvent(data, bool(text or thought), text, reasoning=thought), "content-delta")


def _read_object(document: dict[str, Any], data: bytes, name: bytes) -> ReadEvent:
    """The same for an event of another kind, or one that is written oddly."""
    kind = document.get("type")
    if not isinstance(kind, str) or not kind:
        kind = name.decode(errors="replace")
        if kind not in EVENTS:
            raise no_event(document)
        document = {"type": kind, **{key: value for key, value in document.items() if key != "type"}}
        data = lenient.encode(document)
    if kind == "error" or error_answers.says_something(document.get("error")):
        raise ErrorInside(lenient.plain(document))
    delta = _map(document.get("delta"))
    message = _map(delta.get("message"))
    match kind:
        case "content-start" | "content-delta":
            text, thought = text_in(message.get("content"))
            return ReadEvent(StreamEvent(data, bool(text or thought), text, reasoning=thought), kind)
        case "tool-plan-delta":
            plan = _text(message.get("tool_plan"))
            return ReadEvent(StreamEvent(data, bool(plan), plan), kind)
        case "tool-call-start":
            call = _call(message)
            return ReadEvent(StreamEvent(data, True, extra=lenient.encode(call).decode()), kind, index_of(document))
        case "tool-call-delta":
            piece = _text(_map(_call(message).get("function")).get("arguments"))
            return ReadEvent(StreamEvent(data, bool(piece), extra=piece), kind, index_of(document))
        case "message-end":
            return ReadEvent(_message_end(delta, data), kind)
    if kind not in EVENTS and "delta" not in document:
        raise no_event(document)
    return ReadEvent(StreamEvent(data), kind)


def _message_end(delta: Mapping[str, Any], data: bytes) -> StreamEvent:
    usage = usage_in(delta.get("usage"))
    if (error := failed_in(delta)) is not None:
        raise ErrorInside(error, usage)
    reason = delta.get("finish_reason")
    finish = FINISHES.get(reason, "stop") if isinstance(reason, str) and reason else None
    return StreamEvent(data, finish_reason=finish, usage=usage)


def failed_in(answer: Mapping[str, Any]) -> bytes | None:
    """The error in an answer, or in the end of a stream, that failed; None if it did not."""
    reason, said = answer.get("finish_reason"), answer.get("error")
    if error_answers.says_something(said):
        return lenient.plain({"error": said if isinstance(said, dict) else {"message": str(said)}})
    if isinstance(reason, str) and reason not in FINISHES and reason.startswith(_FAILED):
        return lenient.plain({"error": {"message": f"the provider cut its answer off: {reason}"}})
    return None


def said_in(message: Mapping[str, Any]) -> tuple[str, str, str]:
    """A message's text, its reasoning, and its tool calls as JSON."""
    content = message.get("content")
    blocks = content if isinstance(content, list) else [{"text": content}]
    said = [text_in(block) for block in blocks]
    plan, calls = _text(message.get("tool_plan")), message.get("tool_calls")
    text, thought = plan + "".join(text for text, _ in said), "".join(thought for _, thought in said)
    return text, thought, lenient.encode(calls).decode() if calls else ""


def text_in(block: Any) -> tuple[str, str]:
    """A block's text and its reasoning."""
    return (_text(block.get("text")), _text(block.get("thinking"))) if isinstance(block, dict) else ("", "")


def index_of(document: Mapping[str, Any]) -> int:
    index = document.get("index")
    return index if isinstance(index, int) else 0


def _call(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """An event is about one call. A list of one is read too."""
    calls = message.get("tool_calls")
    return _map(calls[0]) if isinstance(calls, list) and calls else _map(calls)


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
