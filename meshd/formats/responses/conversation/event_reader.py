"""The events of a streamed response as neutral events.

What an event repeats at the end of a part, an item or the answer is read only if its deltas did not come.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from meshd.formats.conversation.answer import Finish, TokenLogprob
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
    Unread,
    Used,
)
from meshd.formats.conversation.parts import Original, Other, Part, Reasoning, Refusal, Text, ToolCall
from meshd.formats.conversation.reading import Unreadable, answer_of, json_of
from meshd.formats.responses.conversation.annotations import read_citation
from meshd.formats.responses.conversation.answer import finish_of, read_token_logprobs
from meshd.formats.responses.conversation.content import FORMAT
from meshd.formats.responses.conversation.items import PARAGRAPH, parts_of, read_items
from meshd.formats.responses.usage import usage_in

_LAST = {"response.completed", "response.incomplete", "response.failed"}
_FIRST = {"response.created", "response.in_progress", "response.queued"}
_ARGUMENTS = {"response.function_call_arguments.delta", "response.custom_tool_call_input.delta"}
_THOUGHTS = {"response.reasoning_summary_text.delta", "response.reasoning_text.delta"}
_REPEATED = {
    "response.content_part.added", "response.content_part.done",
    "response.reasoning_summary_part.added", "response.output_text.done", "response.refusal.done",
    "response.reasoning_summary_part.done", "response.reasoning_summary_text.done", "response.reasoning_text.done",
    "response.function_call_arguments.done", "response.custom_tool_call_input.done",
}  # fmt: skip


class EventReader:
    """Reads one stream: `read` its payloads in order."""

    def __init__(self) -> None:
        self._began = False
        # by output and content index: the number of a text, and where it begins
        self._blocks: dict[tuple[int, int], tuple[int, int]] = {}
        self._length = 0  # characters of all texts so far
        self._calls: dict[int, int] = {}  # by output index
        self._said: dict[tuple[int, str], int] = {}  # characters that have come, by output index and kind
        self._thinking: dict[int, tuple[str, Any]] = {}  # the form in which an item's reasoning comes, and its part
        self._done: set[int] = set()

    def read(self, data: bytes) -> list[Event]:
        """Raises Unreadable."""
        document = answer_of(data)
        try:
            return list(self._events(document))
        except RecursionError:
            raise Unreadable("it is nested too deeply") from None

    def _events(self, event: dict[str, Any]) -> Iterator[Event]:
        kind = event.get("type")
        kind = kind if isinstance(kind, str) else ""
        index = _whole(event.get("output_index"))
        response, item = event.get("response"), event.get("item")
        if isinstance(response, dict) and (kind in _FIRST or kind in _LAST):
            yield from self._begin(response)
            if kind in _LAST:
                yield from self._end(response)
        elif kind == "response.output_text.delta":
            text, logprobs = _text(event.get("delta")), read_token_logprobs(event.get("logprobs"))
            if text or logprobs:
                yield self._say(index, _whole(event.get("content_index")), text, logprobs)
                self._count(index, "text", text or "\0")
        elif kind == "response.refusal.delta":
            yield RefusalDelta(_text(event.get("delta")))
            self._count(index, "refusal", _text(event.get("delta")))
        elif kind in _THOUGHTS:
            yield from self._think(index, event)
        elif kind == "response.output_item.added" and isinstance(item, dict):
            yield from self._begin_item(index, item)
        elif kind in _ARGUMENTS:
            yield from self._argue(index, _text(event.get("delta")))
        elif kind == "response.output_item.done" and isinstance(item, dict):
            yield from self._end_item(index, item)
        elif kind == "response.output_text.annotation.added":
            yield from self._cite(index, _whole(event.get("content_index")), [event.get("annotation")])
            self._count(index, "citations", "\0")
        elif kind not in _REPEATED:
            yield Unread(Original(FORMAT, json_of(event)))

    def _begin(self, response: dict[str, Any]) -> Iterator[Event]:
        if not self._began:
            self._began = True
            created = response.get("created_at")
            created = int(created) if isinstance(created, int | float) and abs(created) < 2**53 else None
            yield Began(_text(response.get("id")), _text(response.get("model")), created)

    def _end(self, response: dict[str, Any]) -> Iterator[Event]:
        output = response.get("output")
        items = [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []
        for index, item in enumerate(items):
            yield from self._end_item(index, item)
        parts = tuple(part for item in items for part in _parts(item))
        if (usage := usage_in(response)) is not None:
            yield Used(usage)
        finish = finish_of(response, parts)
        if finish is Finish.STOP and self._calls:
            finish = Finish.TOOL_CALLS  # some servers leave the output of the last event empty
        if finish is not None:
            yield Finished(finish)

    def _say(self, index: int, content: int, text: str, logprobs: tuple[TokenLogprob, ...]) -> TextDelta:
        block, _ = self._blocks.setdefault((index, content), (len(self._blocks), self._length))
        self._length += len(text)
        return TextDelta(text, 0, block, logprobs)

    def _cite(self, index: int, content: int, annotations: list[Any]) -> Iterator[Event]:
        _, begun = self._blocks.get((index, content), (0, self._length))
        for each in annotations:
            if (cited := read_citation(each, begun)) is not None:
                yield Cited(cited)

    def _count(self, index: int, kind: str, text: str) -> None:
        self._said[index, kind] = self._said.get((index, kind), 0) + len(text)

    def _think(self, index: int, event: dict[str, Any]) -> Iterator[Event]:
        text, kind, part = _text(event.get("delta")), event["type"], event.get("summary_index")
        before, last = self._thinking.setdefault(index, (kind, part))
        if not text or before != kind:
            return
        if last != part:
            self._thinking[index] = (kind, part)
            text = PARAGRAPH + text
        yield ReasoningDelta(text, block=index, id=_text(event.get("item_id")))
        self._count(index, "reasoning", text)

    def _begin_item(self, index: int, item: dict[str, Any]) -> Iterator[Event]:
        if item.get("type") not in ("function_call", "custom_tool_call") or index in self._calls:
            return
        for part in _parts(item):
            if isinstance(part, ToolCall):
                self._calls[index] = len(self._calls)
                yield CallBegan(self._calls[index], part.id, part.name, part.custom, part.signature)

    def _argue(self, index: int, text: str) -> Iterator[Event]:
        if index not in self._calls:
            self._calls[index] = len(self._calls)
            yield CallBegan(self._calls[index])
        if text:
            yield CallDelta(self._calls[index], text)
            self._count(index, "arguments", text)

    def _end_item(self, index: int, item: dict[str, Any]) -> Iterator[Event]:
        """The content of an item that its deltas did not have."""
        if index in self._done:
            return
        self._done.add(index)
        for content, part in enumerate(_parts(item)):
            match part:
                case Text():
                    yield from self._end_text(index, content, part.text, item)
                case Refusal() if not self._said.get((index, "refusal")):
                    yield RefusalDelta(part.text)
                case Reasoning():
                    text = "" if self._said.get((index, "reasoning")) else part.text
                    if text or part.encrypted or part.signature or part.id:
                        yield ReasoningDelta(text, part.signature, part.encrypted, 0, index, part.id)
                case ToolCall():
                    yield from self._begin_item(index, item)
                    if not self._said.get((index, "arguments")):
                        yield from self._argue(index, part.arguments)
                case Other() if part.original is not None:
                    yield Unread(part.original, 0)

    def _end_text(self, index: int, content: int, text: str, item: dict[str, Any]) -> Iterator[Event]:
        parts = item.get("content")
        part = parts[content] if isinstance(parts, list) and content < len(parts) else None
        said = part if isinstance(part, dict) else {}
        logprobs = read_token_logprobs(said.get("logprobs"))
        if not self._said.get((index, "text")) and (text or logprobs):
            yield self._say(index, content, text, logprobs)
        annotations = said.get("annotations")
        if not self._said.get((index, "citations")) and isinstance(annotations, list):
            yield from self._cite(index, content, annotations)


def _parts(item: dict[str, Any]) -> tuple[Part, ...]:
    return parts_of(read_items([item], [json_of(item)], "", strict=False))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _whole(value: Any) -> int:
    return value if type(value) is int else 0
