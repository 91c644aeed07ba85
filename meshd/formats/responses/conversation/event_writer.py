"""Neutral events as the events of a streamed response, in the order in which the API sends them.

An item is closed when the next one begins; calls stay open until the end, because some providers send parallel calls
interleaved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from meshd.formats.conversation.answer import Finish
from meshd.formats.conversation.events import (
    Began,
    CallBegan,
    CallDelta,
    Cited,
    Event,
    Finished,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    Used,
)
from meshd.formats.conversation.parts import ToolCall
from meshd.formats.conversation.request import Conversation, Tool
from meshd.formats.conversation.tools.freeform import CustomCalls
from meshd.formats.conversation.tools.tool_names import by_name
from meshd.formats.responses.conversation.answer import Ids, closing, item_status, skeleton
from meshd.formats.responses.conversation.open_items import Call, Item, Message, Thought
from meshd.formats.responses.ids import item_id, response_id
from meshd.sdk.provider import Usage
from modelmesh.error_shapes import failed_response
from modelmesh.errors import MeshError

_encode = msgspec.json.Encoder().encode


class EventWriter:
    """Writes one stream to an app. asked: its request. tools: its tools by name, if there is no request."""

    def __init__(self, asked: Conversation | None = None, tools: Mapping[str, Tool] | None = None) -> None:
        self._asked = asked
        self._tools = ({} if tools is None else tools) if asked is None else by_name(asked.tools)
        self._custom = CustomCalls(asked)
        self._sequence = 0
        self._response: dict[str, Any] | None = None
        self._before = 0  # items of the output that another writer has written
        self._items: list[Item] = []
        self._calls: dict[int, Call] = {}
        self._ids = Ids()
        self._finish: Finish | None = None
        self._usage: Usage | None = None
        self._length = 0  # characters of all texts

    def resume(self, response: dict[str, Any], sequence: int, items: int, open: Item | None, length: int) -> None:
        """Continue a stream that has begun. response: as it was when it began. sequence: the number of the next event.
        items: how many have begun, including the open one. length: characters of the text so far."""
        self._response = {**skeleton(response_id(""), "", None, None), **response, "output": []}
        self._sequence = sequence
        self._length = length
        self._before = items - (open is not None)
        self._items = [] if open is None else [open]

    def write(self, event: Event) -> list[bytes]:
        if self._response is not None and type(event) is TextDelta and event.choice == 0:  # most of a stream
            return self._numbered(self._said("output_text", event.block, event.text, event.logprobs))
        payloads: list[bytes] = []
        for each in self._custom.read(event):
            payloads += self._numbered(self._events(each))
        return payloads

    def end(self) -> list[bytes]:
        payloads: list[bytes] = []
        for each in self._custom.end():
            payloads += self._numbered(self._events(each))
        return payloads + self._numbered(self._ending())

    def failed(self, error: MeshError) -> list[bytes]:
        """The events that report an error in the middle of the stream."""
        return self._numbered([*self._beginning(Began()), self._last("response.failed", failed_response({}, error))])

    def _events(self, event: Event) -> Iterable[dict[str, Any]]:
        match event:
            case Began():
                yield from self._beginning(event)
            case Used():
                self._usage = event.usage
            case Finished(choice=0):
                self._finish = event.finish
            case TextDelta(choice=0):
                yield from self._beginning(Began())
                yield from self._said("output_text", event.block, event.text, event.logprobs)
            case Cited(choice=0) if self._items and isinstance(message := self._items[-1], Message):
                yield from message.cite(event.citation, self._length)
            case RefusalDelta(choice=0):
                yield from self._beginning(Began())
                yield from self._said("refusal", 0, event.text)
            case ReasoningDelta(choice=0):
                yield from self._beginning(Began())
                yield from self._thought(event)
            case CallBegan(choice=0):
                yield from self._beginning(Began())
                yield from self._called(event)
            case CallDelta(choice=0):
                yield from self._beginning(Began())
                if event.call not in self._calls:
                    yield from self._called(CallBegan(event.call))
                yield from self._calls[event.call].add(event.arguments)

    def _beginning(self, began: Began) -> Iterable[dict[str, Any]]:
        if self._response is None:
            self._response = skeleton(response_id(began.id), began.model, began.created, self._asked)
            yield {"type": "response.created", "response": self._response}
            yield {"type": "response.in_progress", "response": self._response}

    @property
    def _base(self) -> str:
        assert self._response is not None, "the stream has begun"
        id: str = self._response["id"]
        return id

    @property
    def _index(self) -> int:
        """The index of the next item."""
        return self._before + len(self._items)

    def _open(self, item: Item) -> Iterable[dict[str, Any]]:
        yield from self._close_last()
        self._items.append(item)
        yield from item.begin()

    def _close_last(self) -> Iterable[dict[str, Any]]:
        if self._items and not isinstance(self._items[-1], Call):
            yield from self._items[-1].finish("completed")

    def _said(self, kind: str, block: int, text: str, logprobs: Any = ()) -> Iterable[dict[str, Any]]:
        if not text and not logprobs:
            return
        message = self._items[-1] if self._items else None
        if not isinstance(message, Message):
            index = self._index
            message = Message(item_id("msg", self._base, index), index)
            yield from self._open(message)
        if kind == "output_text":
            self._length += len(text)
        yield from message.add(kind, block, text, logprobs)

    def _thought(self, event: ReasoningDelta) -> Iterable[dict[str, Any]]:
        thought = self._items[-1] if self._items else None
        if not isinstance(thought, Thought) or thought.block != event.block:
            index = self._index
            id = self._ids.own(event.id, "rs", self._base, index)
            thought = Thought(id, index, event)
            yield from self._open(thought)
        yield from thought.add(event)

    def _called(self, event: CallBegan) -> Iterable[dict[str, Any]]:
        index = self._index
        part = ToolCall(event.id, event.name, "", event.custom, event.signature)
        call = Call(part, self._base, index, self._tools, self._ids)
        self._calls[event.call] = call
        yield from self._open(call)

    def _ending(self) -> Iterable[dict[str, Any]]:
        yield from self._beginning(Began())
        for item in self._items:
            last = item is self._items[-1]
            yield from item.finish(item_status(self._finish) if last else "completed")
        end = closing(self._finish, self._usage)
        yield self._last(f"response.{end['status']}", {**end, "output": [item.item for item in self._items]})

    def _last(self, kind: str, changed: dict[str, Any]) -> dict[str, Any]:
        return {"type": kind, "response": {**(self._response or {}), **changed}}

    def _numbered(self, events: Iterable[dict[str, Any]]) -> list[bytes]:
        payloads = []
        for event in events:
            payloads.append(_encode({"type": event["type"], "sequence_number": self._sequence, **event}))
            self._sequence += 1
        return payloads
