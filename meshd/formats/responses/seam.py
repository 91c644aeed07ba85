"""Where another attempt continues a stream of events: its events look like the rest of the first attempt's.

They are read as neutral events and written again, so that ids and numbers continue, and the last events contain the
whole text. The reasoning of the attempt that broke is not repeated in the last event.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from meshd.formats.conversation.citations import moved
from meshd.formats.conversation.events import Began, Cited, Event, ReasoningDelta, TextDelta, Used
from meshd.formats.conversation.reading import Unreadable
from meshd.formats.conversation.request import Tool
from meshd.formats.responses.conversation.event_reader import EventReader
from meshd.formats.responses.conversation.event_writer import EventWriter
from meshd.formats.responses.conversation.items import called
from meshd.formats.responses.conversation.open_items import Item, Message, Thought
from meshd.formats.responses.wire import COMPLETED, INCOMPLETE
from meshd.sdk.provider import StreamEvent, Usage
from meshd.sdk.reading import lenient

_ANNOTATION = "response.output_text.annotation.added"
_IN_TEXT = ("response.content_part.added", "response.output_text.delta", _ANNOTATION)
_AFTER_TEXT = ("response.output_text.done", "response.content_part.done")
_ADDED = "response.output_item.added"


class EventSeam:
    """first: the event with the response's id. last: the last event that the app has got. text: what it has got of the
    message in which this event ends."""

    def __init__(self, first: bytes, last: bytes = b"", text: str = "") -> None:
        opening, before = _object(first), _object(last or first)
        response = opening.get("response")
        self._tools: dict[str, Tool] = {}
        self._reader = EventReader()
        self._writer = EventWriter(tools=self._tools)
        self._writer.resume(
            response if isinstance(response, dict) else {},
            _whole(before, "sequence_number") + 1,
            _whole(before, "output_index") + ("output_index" in before),
            _open_item(before, text),
            len(text),
        )
        self._place = 0
        self._cited: list[Event] = []  # while its text is held
        self._before: list[bytes] = []

    def hold(self, event: StreamEvent) -> bool:
        if not event.content and _object(event.data).get("type") != _ANNOTATION:
            return False
        cited = [each for each in self._read(event) if isinstance(each, Cited)]
        self._cited += cited
        return bool(cited)

    def starts_at(self, place: int) -> None:
        self._place = place

    def event(self, event: StreamEvent, text: str, usage: Usage | None) -> bytes | None:
        """text: instead of the event's own. usage: of the whole stream, where the event reports any. None if there is
        nothing for the app in it."""
        payload = _object(event.data)
        self._tools.update(called([payload.get("item")]))
        held, self._cited = self._cited, []
        for each in [*_said(text), *held, *filter(_is_new, self._read(event))]:
            if isinstance(each, Used) and usage is not None:
                each = replace(each, usage=usage)
            elif isinstance(each, Cited):
                each = replace(each, citation=moved(each.citation, self._place))
            self._before += self._writer.write(each)
        if payload.get("type") in (COMPLETED, INCOMPLETE):
            self._before += self._writer.end()
        return self._before.pop() if self._before else None

    def text(self, text: str) -> bytes:
        """An event with only that text."""
        for each in _said(text):
            self._before += self._writer.write(each)
        return self._before.pop()

    def _read(self, event: StreamEvent) -> list[Event]:
        try:
            return self._reader.read(event.data)
        except Unreadable:
            return []

    def before(self) -> list[bytes]:
        """What has to be sent before the event that was made last: the beginning or the end of an item."""
        before, self._before = self._before, []
        return before


def _said(text: str) -> list[Event]:
    return [TextDelta(text)] if text else []


def _is_new(event: Event) -> bool:
    """Whether the event is passed on: its text is given separately, and the app's stream has already begun and had its
    reasoning."""
    return not isinstance(event, Began | TextDelta | ReasoningDelta)


def _open_item(before: dict[str, Any], text: str) -> Item | None:
    """The item that a stream ends in."""
    item, index = before.get("item"), _whole(before, "output_index")
    kind, id = before.get("type"), item.get("id") if isinstance(item, dict) else before.get("item_id")
    if not isinstance(id, str) or not isinstance(kind, str):
        return None
    if kind in (*_IN_TEXT, *_AFTER_TEXT):
        message = Message(id, index)
        message.resume(text, _whole(before, "content_index"), open=kind in _IN_TEXT)
        return message
    if kind == _ADDED and isinstance(item, dict):
        return Message(id, index) if item.get("type") == "message" else _thought(id, index)
    return _thought(id, index) if kind.startswith("response.reasoning") else None


def _thought(id: str, index: int) -> Thought:
    """Another stream's reasoning is another item."""
    return Thought(id, index, ReasoningDelta(block=-1, id=id))


def _object(data: bytes) -> dict[str, Any]:
    """An event, however oddly it is written."""
    value = lenient.decode(data)
    return value if isinstance(value, dict) else {}


def _whole(event: dict[str, Any], name: str) -> int:
    value = event.get(name)
    return value if type(value) is int else 0
