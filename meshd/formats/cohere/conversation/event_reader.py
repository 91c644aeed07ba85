"""A streamed answer: its events as those of records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from meshd.formats.cohere.conversation.answer import read_finish
from meshd.formats.cohere.conversation.citations import PLAN, Places, read_citation
from meshd.formats.cohere.usage import usage_in
from meshd.formats.cohere.wire import index_of, text_in
from meshd.formats.conversation.events import (
    Began,
    CallBegan,
    CallDelta,
    Cited,
    Event,
    Finished,
    ReasoningDelta,
    TextDelta,
    Used,
)
from meshd.formats.conversation.reading import Unreadable, answer_of


class ChatReader:
    """Reads one stream: `read` its events in order."""

    def __init__(self) -> None:
        self._began = False
        self._calls: dict[int, int] = {}  # by their own numbers
        self._places = Places()

    def read(self, data: bytes) -> list[Event]:
        """The neutral events in one of the stream's events. Raises Unreadable."""
        document = answer_of(data)
        try:
            return list(self._events(document))
        except RecursionError:
            raise Unreadable("it is nested too deeply") from None

    def _events(self, document: dict[str, Any]) -> Iterator[Event]:
        kind, delta, index = document.get("type"), _map(document.get("delta")), index_of(document)
        if not self._began:
            self._began = True
            yield Began(_text(document.get("id")))
        message = _map(delta.get("message"))
        match kind:
            case "content-start" | "content-delta":
                text, thought = text_in(message.get("content"))
                if thought:
                    yield ReasoningDelta(thought, block=index)
                if text:
                    self._places.add(index, text)
                    yield TextDelta(text, block=index)
            case "tool-plan-delta":
                if plan := _text(message.get("tool_plan")):
                    self._places.add(PLAN, plan)
                    yield TextDelta(plan, block=PLAN)
            case "citation-start":
                for cited in read_citation(message.get("citations"), self._places):
                    yield Cited(cited)
            case "tool-call-start" | "tool-call-delta":
                calls = message.get("tool_calls")
                call = _map(calls[0]) if isinstance(calls, list) and calls else _map(calls)
                yield from self._call(index, _text(call.get("id")), _map(call.get("function")))
            case "message-end":
                finish = read_finish(delta.get("finish_reason"))
                if finish is not None:
                    yield Finished(finish)
                usage = usage_in(delta.get("usage"))
                if usage is not None:
                    yield Used(usage)

    def _call(self, index: int, id: str, function: dict[str, Any]) -> Iterator[Event]:
        if index not in self._calls:
            self._calls[index] = len(self._calls)
            yield CallBegan(self._calls[index], id, _text(function.get("name")))
        if piece := _text(function.get("arguments")):
            yield CallDelta(self._calls[index], piece)


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
