"""ConverseStream's events: only as much of one as the mesh must understand. Each is an object with one member, its
type, as `stream/frames.py` makes it of a frame.

Owns: reading usage, stop reasons and content. Must never: refuse an event for a field that it does not need.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html, 2026-11-28
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from meshd.formats.bedrock.usage import usage_in
from meshd.formats.errors import error_answers
from meshd.formats.errors.not_answers import ErrorInside, NotAnEvent
from meshd.formats.openai.wire import document_of, is_broken_off
from meshd.sdk.provider import StreamEvent
from meshd.sdk.reading import lenient

FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
"""Stop reasons in the words of `StreamEvent.finish_reason`, which are the same for all formats."""
EVENTS = frozenset(
    {"messageStart", "messageStop", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "metadata"}
)


class _Delta(msgspec.Struct, gc=False):
    text: str


class _BlockDelta(msgspec.Struct, gc=False):
    delta: _Delta


class _TextEvent(msgspec.Struct, gc=False):
    """The events that most of a stream consists of."""

    contentBlockDelta: _BlockDelta


_decode = msgspec.json.Decoder(_TextEvent).decode


class ReadEvent(NamedTuple):
    """type: of the event. block: its number, -1 for none."""

    event: StreamEvent
    type: str
    block: int = -1


def read_event(data: bytes) -> ReadEvent:
    """Raises NotAnAnswer, NotAnEvent."""
    try:
        text = _decode(data).contentBlockDelta.delta.text
    except lenient.UNREADABLE:
        return _read_object(*document_of(data))
    return ReadEvent(StreamEvent(data, bool(text), text), "contentBlockDelta")


def _read_object(document: dict[str, Any], data: bytes) -> ReadEvent:
    kind = next(iter(document), "")
    if kind == "error" or kind not in EVENTS:
        if error_answers.says_something(document.get("error")):
            raise ErrorInside(lenient.plain(document))
        raise NotAnEvent  # an event newer than this code
    said = _map(document[kind])
    match kind:
        case "contentBlockStart":
            return ReadEvent(_said(data, _map(said.get("start"))), kind, index_of(said))
        case "contentBlockDelta":
            return ReadEvent(_said(data, _map(said.get("delta"))), kind, index_of(said))
        case "messageStop":
            return ReadEvent(StreamEvent(data, finish_reason=finish_in(said.get("stopReason"))), kind)
        case "metadata":
            return ReadEvent(StreamEvent(data, usage=usage_in(said.get("usage"))), kind)
    return ReadEvent(StreamEvent(data), kind, index_of(said))


def finish_in(reason: Any) -> str | None:
    """None if there is none. Raises ErrorInside for one that means a broken answer."""
    if not isinstance(reason, str) or not reason:
        return None
    known = FINISHES.get(reason)
    if known is None and is_broken_off(reason):
        raise ErrorInside(lenient.plain({"error": {"message": f"the provider cut its answer off: {reason}"}}))
    return known or "stop"


def _said(data: bytes, part: Mapping[str, Any]) -> StreamEvent:
    """A start or a delta of any type; an unknown one counts as part of the answer."""
    text, thought, extra = said_in(part)
    return StreamEvent(data, bool(text or thought or extra), text, reasoning=thought, extra=extra)


def said_in(part: Mapping[str, Any]) -> tuple[str, str, str]:
    """Of a block, a start or a delta: its text, its reasoning, and what is more than text: a tool call, as JSON."""
    if isinstance(text := part.get("text"), str):
        return text, "", ""
    if isinstance(cited := part.get("citationsContent"), dict):
        said = cited.get("content")
        return "".join(said_in(_map(each))[0] for each in said) if isinstance(said, list) else "", "", ""
    if (thought := part.get("reasoningContent")) is not None:
        inner = _map(_map(thought).get("reasoningText", thought))
        return "", _text(inner.get("text")), ""
    used = _map(part.get("toolUse"))
    if isinstance(piece := used.get("input"), str):
        return "", "", piece
    more = {name: value for name, value in part.items() if name not in _BESIDE and value not in (None, "", {}, [])}
    return "", "", lenient.encode(more).decode() if more else ""


_BESIDE = frozenset({"citation"})


def index_of(document: Mapping[str, Any]) -> int:
    """The number of an event's block, of any type."""
    index = document.get("contentBlockIndex")
    return index if isinstance(index, int) and not isinstance(index, bool) else 0


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
