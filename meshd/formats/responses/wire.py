"""The Responses API: only as much of an answer as the mesh must understand.

Owns: reading content, usage and errors from responses and events.
Must never: change a byte that an app can read, or refuse an answer for a field it does not need.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from meshd.formats.errors import error_answers
from meshd.formats.errors.not_answers import Broken, ErrorInside, no_event
from meshd.formats.openai.records import NULL
from meshd.formats.openai.wire import document_of
from meshd.formats.responses.usage import usage_in
from meshd.sdk.provider import StreamEvent
from meshd.sdk.reading import lenient

CREATED = "response.created"
COMPLETED, INCOMPLETE, FAILED = "response.completed", "response.incomplete", "response.failed"
_TEXT = "response.output_text.delta"
_THOUGHTS = frozenset({"response.reasoning_summary_text.delta", "response.reasoning_text.delta"})
_BARE = frozenset({CREATED, "response.in_progress", "response.queued", "response.output_item.added",
                   "response.content_part.added"})  # fmt: skip
_ITEMS = frozenset({"response.output_item.added", "response.output_item.done"})
_WHOLE = {"response.output_text.done": "text", "response.refusal.done": "refusal",
          "response.function_call_arguments.done": "arguments",
          "response.custom_tool_call_input.done": "input"}  # fmt: skip
_EMPTY_AT_FIRST = frozenset({"message", "reasoning"})
_CALLS = frozenset({"function_call", "custom_tool_call"})
_ANSWERED = frozenset({"completed", "incomplete", "in_progress", "queued"})
"""The last two: an answer in the background, to be retrieved later."""


class Said(NamedTuple):
    """The contents of items. extra: a call, a refusal, an image: as text or JSON."""

    text: str = ""
    reasoning: str = ""
    extra: str = ""


class _Event(msgspec.Struct, gc=False):
    """An event of any kind: most names occur in one kind only."""

    type: str = ""
    output_index: int = 0
    delta: str | None = None
    item: msgspec.Raw = NULL
    response: msgspec.Raw = NULL
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    input: str | None = None


_decode = msgspec.json.Decoder(_Event).decode
_FIELDS = {"output_index": int, "delta": str, "text": str, "refusal": str, "arguments": str, "input": str}


class Events:
    """Reads the events of one stream, in order: what an event repeats counts as content only if it had not come
    before."""

    def __init__(self) -> None:
        self._said: set[int] = set()  # output indices with content
        self.ended = False

    def read(self, data: bytes, name: bytes) -> tuple[StreamEvent, bool]:
        """An event, and whether it is progress. name: that of the server-sent event. Raises NotAnAnswer, NotAnEvent."""
        try:
            event = _decode(data)
        except lenient.UNREADABLE:
            event = _Event()
        if not event.type:
            event, data = _read_oddly(data, name)
        kind = event.type
        if kind == _TEXT and event.delta:
            return self._content(event, data, Said(event.delta))
        if kind in _BARE and event.item is NULL:
            return StreamEvent(data), kind == "response.content_part.added"
        if kind.endswith(".delta"):
            if kind in _THOUGHTS:
                return self._content(event, data, Said(reasoning=event.delta or ""))
            return self._content(event, data, Said(extra=event.delta or _more_than_text(data)))
        if kind in (COMPLETED, INCOMPLETE, FAILED):
            return self._end(kind, event, data), True
        if error_answers.calls_itself_error({"type": kind}, ("type",)) and not kind.endswith("_call.failed"):
            raise ErrorInside(_plain(data))
        if kind in _ITEMS and event.item is not NULL:
            return self._item(event, data)
        whole = getattr(event, _WHOLE[kind]) if kind in _WHOLE and event.output_index not in self._said else None
        if whole:
            return self._content(event, data, Said(whole) if _WHOLE[kind] == "text" else Said(extra=whole))
        return StreamEvent(data), kind.startswith("response.") and kind.endswith(".done")

    def _content(self, event: _Event, data: bytes, said: Said) -> tuple[StreamEvent, bool]:
        if not any(said):
            return StreamEvent(data), False
        self._said.add(event.output_index)
        return StreamEvent(data, True, said.text, reasoning=said.reasoning, extra=said.extra), True

    def _item(self, event: _Event, data: bytes) -> tuple[StreamEvent, bool]:
        item = _object(event.item)
        if event.output_index in self._said:
            return StreamEvent(data), True
        if event.type == "response.output_item.added" and item.get("type") in _EMPTY_AT_FIRST:
            return StreamEvent(data), True
        return self._content(event, data, said_in([item]))[0], True

    def _end(self, kind: str, event: _Event, data: bytes) -> StreamEvent:
        response = _object(event.response)
        usage, said = usage_in(response), said_in(output_of(response))
        if kind == FAILED or is_failed(response):
            raise ErrorInside(error_of(response), usage, "" if self._said else said.text + said.reasoning)
        self.ended = True
        finish = finish_reason(response if "status" in response else {"status": kind.rpartition(".")[2], **response})
        new = Said() if self._said else said
        return StreamEvent(data, any(new), new.text, finish, usage, reasoning=new.reasoning, extra=new.extra)


class _Typed(msgspec.Struct, gc=False):
    type: str = ""


_decode_type = msgspec.json.Decoder(_Typed).decode
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def type_of(data: bytes) -> bytes:
    """The type of an event, as the name of a server-sent event; b"" if it has none."""
    try:
        kind = _decode_type(data).type
    except lenient.UNREADABLE:
        return b""
    return kind.encode() if _NAME.fullmatch(kind) else b""


def _read_oddly(data: bytes, name: bytes) -> tuple[_Event, bytes]:
    """An event of unusual types, or whose kind is only in its name."""
    document, data = document_of(data)
    kind = document.get("type")
    if not isinstance(kind, str) or not kind:
        kind = name.decode(errors="replace")
        if not kind.startswith("response."):
            _no_event(document)
        data = lenient.encode({**document, "type": kind})
    given: dict[str, Any] = {
        field: document[field] for field, type in _FIELDS.items() if isinstance(document.get(field), type)
    }
    for field in ("item", "response"):
        if isinstance(document.get(field), dict):
            given[field] = msgspec.Raw(lenient.plain(document[field]))
    return _Event(type=kind, **given), data


def _no_event(document: Mapping[str, Any]) -> None:
    """Raises ErrorInside, NotAnEvent, Broken."""
    if error_answers.is_error(document):
        raise ErrorInside(lenient.plain(document))
    if document.keys() & {"choices", "output", "delta", "content"}:
        raise Broken("an event of another API")
    raise no_event(document)


def _object(raw: msgspec.Raw) -> dict[str, Any]:
    try:
        value = lenient.decode(bytes(raw))
    except lenient.NotJSON:
        return {}
    return value if isinstance(value, dict) else {}


def _plain(data: bytes) -> bytes:
    return lenient.plain(lenient.decode(data))


def _more_than_text(data: bytes) -> str:
    """What a delta contains other than text."""
    delta = _object(msgspec.Raw(data)).get("delta")
    return lenient.encode(delta).decode(errors="replace") if delta else ""


def output_of(response: Mapping[str, Any]) -> list[dict[str, Any]]:
    output = response.get("output")
    return [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []


def said_in(items: list[dict[str, Any]]) -> Said:
    text, reasoning, extra = [], [], []
    for item in items:
        kind = item.get("type")
        if kind == "message":
            for part in _listed(item.get("content")):
                text.append(_text(part, "text"))
                extra.append(_text(part, "refusal"))
        elif kind == "reasoning":
            parts = _listed(item.get("content")) or _listed(item.get("summary"))
            reasoning += [_text(part, "text") for part in parts]
        elif isinstance(kind, str):
            extra.append(lenient.encode(item).decode(errors="replace"))
    return Said("".join(text), "".join(reasoning), "".join(extra))


def _listed(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _text(part: Mapping[str, Any], name: str) -> str:
    value = part.get(name)
    return value if isinstance(value, str) else ""


def is_failed(response: Mapping[str, Any]) -> bool:
    status = response.get("status")
    if status is not None and status not in _ANSWERED:
        return True
    return error_answers.says_something(response.get("error"))


def error_of(response: Mapping[str, Any]) -> bytes:
    """The error in a response that failed."""
    error = response.get("error")
    if error_answers.says_something(error):
        return lenient.plain({"error": error})
    message = f"the provider ended its answer as {response.get('status') or 'failed'}"
    return lenient.plain({"error": {"message": message}})


def finish_reason(response: Mapping[str, Any]) -> str:
    """The finish reason in the chat's words, which the mesh's rules use."""
    if response.get("status") == "incomplete":
        details = response.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        return "content_filter" if reason == "content_filter" else "length"
    return "tool_calls" if any(item.get("type") in _CALLS for item in output_of(response)) else "stop"
