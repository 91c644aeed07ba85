"""A streamed message: its events as those of records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from meshd.formats.anthropic.conversation.answer import read_finish
from meshd.formats.anthropic.conversation.citations import read_citation
from meshd.formats.anthropic.conversation.content import FORMAT
from meshd.formats.anthropic.usage import usage_in
from meshd.formats.anthropic.wire import index_of
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
from meshd.sdk.provider import Usage

_OF_A_MESSAGE = frozenset({"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"})
_OF_A_DELTA = frozenset({"type", "stop_reason", "stop_sequence"})


class MessageReader:
    """Reads one stream: `read` its events in order."""

    def __init__(self) -> None:
        self._began = False
        self._usage: Usage | None = None
        self._calls: dict[int, int] = {}  # by the block's number
        self._others: set[int] = set()  # blocks that only this format has
        self._length = 0  # characters of the text so far
        self._begun = 0  # where the text of the open block begins
        self._cited: list[Any] = []  # what the open block cites: some servers send it before the block's text

    def read(self, data: bytes) -> list[Event]:
        """The neutral events in one of the stream's events. Raises Unreadable."""
        document = answer_of(data)
        try:
            return list(self._events(document, data))
        except RecursionError:
            raise Unreadable("it is nested too deeply") from None

    def _events(self, document: dict[str, Any], data: bytes) -> Iterator[Event]:
        kind = document.get("type")
        if kind == "message_start":
            yield from self._start(_map(document.get("message")))
            return
        if not self._began and kind in ("content_block_start", "content_block_delta", "message_delta"):
            self._began = True
            yield Began()
        match kind:
            case "content_block_start":
                yield from self._block(_map(document.get("content_block")), index_of(document), document)
            case "content_block_delta":
                yield from self._delta(_map(document.get("delta")), index_of(document), document)
            case "content_block_stop":
                if index_of(document) in self._others:
                    yield _unread(document)
                yield from self._cites()
            case "message_delta":
                yield from self._ended(_map(document.get("delta")), document)

    def _start(self, message: dict[str, Any]) -> Iterator[Event]:
        fields = Fields(message, "", FORMAT, strict=False)
        if not self._began:
            self._began = True
            yield Began(fields.text("id"), fields.text("model"))
        if unknown := {name: value for name, value in message.items() if name not in _OF_A_MESSAGE}:
            yield _unread(unknown, whole=True)
        yield from self._used(message)

    def _used(self, place: dict[str, Any]) -> Iterator[Event]:
        usage = usage_in(place.get("usage"), self._usage)
        if usage is not None and usage != self._usage:
            self._usage = usage
            yield Used(usage)

    def _block(self, block: dict[str, Any], index: int, event: dict[str, Any]) -> Iterator[Event]:
        fields = Fields(block, "", FORMAT, strict=False)
        self._begun = self._length
        match block.get("type"):
            case "text":
                given = block.get("citations")
                self._cited = list(given) if isinstance(given, list) else []
                yield from self._text(fields.text("text"), index)
            case "thinking":
                text, signature = fields.text("thinking"), fields.text("signature")
                if text or signature:
                    yield ReasoningDelta(text, signature, block=index)
            case "redacted_thinking":
                yield ReasoningDelta(encrypted=fields.text("data"), block=index)
            case "tool_use":
                self._calls[index] = call = len(self._calls)
                yield CallBegan(call, fields.text("id"), fields.text("name"))
                if begun := fields.left.get("input"):
                    yield CallDelta(call, json_of(begun).decode())
            case _:
                self._others.add(index)
                yield _unread(event)

    def _delta(self, delta: dict[str, Any], index: int, event: dict[str, Any]) -> Iterator[Event]:
        fields = Fields(delta, "", FORMAT, strict=False)
        if index in self._others:
            yield _unread(event)
            return
        match delta.get("type"):
            case "text_delta":
                yield from self._text(fields.text("text"), index)
            case "citations_delta":
                self._cited.append(delta.get("citation"))
            case "thinking_delta":
                if text := fields.text("thinking"):
                    yield ReasoningDelta(text, block=index)
            case "signature_delta":
                if signature := fields.text("signature"):
                    yield ReasoningDelta(signature=signature, block=index)
            case "input_json_delta":
                if index not in self._calls:
                    self._calls[index] = len(self._calls)
                    yield CallBegan(self._calls[index])
                if piece := fields.text("partial_json"):
                    yield CallDelta(self._calls[index], piece)
            case _:
                yield _unread(event)

    def _text(self, text: str, index: int) -> Iterator[Event]:
        self._length += len(text)
        if text:
            yield TextDelta(text, block=index)

    def _cites(self) -> Iterator[Event]:
        given, self._cited = self._cited, []
        for each in given:
            if (cited := read_citation(each, self._begun, self._length)) is not None:
                yield Cited(cited)

    def _ended(self, delta: dict[str, Any], event: dict[str, Any]) -> Iterator[Event]:
        finish, sequence = read_finish(Fields(delta, "", FORMAT, strict=False))
        if finish is not None:
            yield Finished(finish, sequence=sequence)
        unknown = {name: value for name, value in delta.items() if name not in _OF_A_DELTA}
        unknown |= {name: value for name, value in event.items() if name not in ("type", "delta", "usage")}
        if unknown:
            yield _unread(unknown, whole=True)
        yield from self._used(event)


def _unread(value: dict[str, Any], *, whole: bool = False) -> Unread:
    """whole: it belongs to the whole answer; otherwise it is an event."""
    return Unread(Original(FORMAT, json_of(value)), None if whole else 0)


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
