"""A streamed message: its events as those of records. Each event is an object with one member, its type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from meshd.formats.bedrock.conversation.answer import read_citation, read_finish
from meshd.formats.bedrock.conversation.content import read_reasoning
from meshd.formats.bedrock.conversation.refused import FORMAT
from meshd.formats.bedrock.usage import usage_in
from meshd.formats.bedrock.wire import index_of
from meshd.formats.conversation.events import (
    Began,
    CallBegan,
    CallDelta,
    Cited,
    Event,
    Finished,
    ReasoningDelta,
    TextDelta,
    Unread,
    Used,
)
from meshd.formats.conversation.parts import Original
from meshd.formats.conversation.reading import Fields, Unreadable, answer_of, json_of


class ConverseReader:
    """Reads one stream: `read` its events in order."""

    def __init__(self) -> None:
        self._began = False
        self._calls: dict[int, int] = {}  # by the block's number
        self._others: set[int] = set()  # blocks that only this format has
        self._length = 0  # characters of the text so far
        self._begun: dict[int, int] = {}  # by the block's number: where its text begins
        self._cited: list[Any] = []  # what the block cites

    def read(self, data: bytes) -> list[Event]:
        """The neutral events in one of the stream's events. Raises Unreadable."""
        document = answer_of(data)
        try:
            return [each for kind, event in document.items() for each in self._events(kind, event)]
        except RecursionError:
            raise Unreadable("it is nested too deeply") from None

    def _events(self, kind: str, event: Any) -> Iterator[Event]:
        said: dict[str, Any] = event if isinstance(event, dict) else {}
        if not self._began:
            self._began = True
            yield Began()
        match kind:
            case "contentBlockStart":
                yield from self._block(said)
            case "contentBlockDelta":
                yield from self._delta(said)
            case "contentBlockStop":
                yield from self._cites(index_of(said))
            case "messageStop":
                finish = read_finish(said.get("stopReason"))
                if finish is not None:
                    yield Finished(finish)
            case "metadata":
                usage = usage_in(said.get("usage"))
                if usage is not None:
                    yield Used(usage)

    def _cites(self, index: int) -> Iterator[Event]:
        given, self._cited = self._cited, []
        begun = self._begun.get(index, self._length)
        for each in given:
            if (cited := read_citation(each, begun, self._length)) is not None:
                yield Cited(cited)

    def _block(self, said: dict[str, Any]) -> Iterator[Event]:
        start, index = _map(said.get("start")), index_of(said)
        used = start.get("toolUse")
        if not isinstance(used, dict) or "type" in used:  # a tool that Bedrock runs, and its result
            self._others.add(index)
            yield _unread("contentBlockStart", said)
            return
        fields = Fields(used, "", FORMAT, strict=False)
        self._calls[index] = call = len(self._calls)
        yield CallBegan(call, fields.text("toolUseId"), fields.text("name"))

    def _delta(self, said: dict[str, Any]) -> Iterator[Event]:
        delta, index = Fields(_map(said.get("delta")), "", FORMAT, strict=False), index_of(said)
        if index in self._others:
            yield _unread("contentBlockDelta", said)
            return
        if text := delta.text("text"):
            self._begun.setdefault(index, self._length)
            self._length += len(text)
            yield TextDelta(text, block=index)
        elif "citation" in delta.left:
            self._cited.append(delta.left["citation"])
        elif "reasoningContent" in delta.left:
            thought = read_reasoning(delta.left["reasoningContent"])
            yield ReasoningDelta(thought.text, thought.signature, thought.encrypted, block=index)
        elif "toolUse" in delta.left:
            if index not in self._calls:
                self._calls[index] = len(self._calls)
                yield CallBegan(self._calls[index])
            if piece := delta.inner("toolUse").text("input"):
                yield CallDelta(self._calls[index], piece)
        elif delta.left:
            yield _unread("contentBlockDelta", said)


def _unread(kind: str, said: dict[str, Any]) -> Unread:
    return Unread(Original(FORMAT, json_of({kind: said})), 0)


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
