"""The items of a response that is being streamed: the events that open, fill and close them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from meshd.formats.conversation.answer import TokenLogprob
from meshd.formats.conversation.citations import Citation
from meshd.formats.conversation.events import ReasoningDelta
from meshd.formats.conversation.parts import Reasoning, Refusal, Text, ToolCall
from meshd.formats.conversation.request import Tool
from meshd.formats.responses.conversation.annotations import written_annotations
from meshd.formats.responses.conversation.answer import Ids, written_call, written_token_logprobs
from meshd.formats.responses.conversation.items import reasoning_item, said_part

_MOST_PARTS = 100  # of a message; more is a bug in its server
Made = Iterable[dict[str, Any]]


class Item:
    """index: in the output. item: as it is now."""

    def __init__(self, item: dict[str, Any], index: int) -> None:
        self.item = item
        self.index = index
        self._place = {"item_id": item["id"], "output_index": index}
        self._finished = False

    def begin(self) -> Made:
        yield {"type": "response.output_item.added", "output_index": self.index, "item": self.item}

    def finish(self, status: str) -> Made:
        """The closing events; none if it is closed already."""
        if self._finished:
            return
        self._finished = True
        yield from self._rest()
        if "status" in self.item:
            self.item = {**self.item, "status": status}
        yield {"type": "response.output_item.done", "output_index": self.index, "item": self.item}

    def _rest(self) -> Made:
        """The events before its end."""
        raise NotImplementedError


class Message(Item):
    def __init__(self, id: str, index: int) -> None:
        item = {"type": "message", "id": id, "role": "assistant", "status": "in_progress", "content": []}
        super().__init__(item, index)
        self._kind: tuple[str, int] | None = None  # of the open part
        self._text: list[str] = []
        self._logprobs: list[TokenLogprob] = []
        self._annotations: list[dict[str, Any]] = []

    def resume(self, text: str, content_index: int, *, open: bool) -> None:
        """Continue with a part that has this text and may be open. What came before that part is unknown."""
        content = [said_part(Text("")) for _ in range(min(content_index, _MOST_PARTS))]
        if open:
            self._kind, self._text = ("output_text", 0), [text]
        else:
            content.append(said_part(Text(text)))
        self.item = {**self.item, "content": content}

    def add(self, kind: str, block: int, text: str, logprobs: tuple[TokenLogprob, ...] = ()) -> Made:
        """kind: `output_text` or `refusal`. block: another one begins another part."""
        if self._kind != (kind, block):
            yield from self._close_part()
            self._kind = (kind, block)
            yield {"type": "response.content_part.added", **self._at, "part": self._part()}
        self._text.append(text)
        event = {"type": f"response.{kind}.delta", **self._at, "delta": text}
        if kind == "output_text":
            self._logprobs += logprobs
            event["logprobs"] = written_token_logprobs(logprobs) if logprobs else []
        yield event

    def cite(self, cited: Citation, length: int) -> Made:
        """Add citations to the open text; nothing if none is open. length: characters of all texts so far."""
        if self._kind is None or self._kind[0] != "output_text":
            return
        size = sum(map(len, self._text))
        start, end = (min(max(place - length + size, 0), size) for place in (cited.start, cited.end))
        for annotation in written_annotations([replace(cited, start=start, end=end)]):
            added = {"annotation_index": len(self._annotations), "annotation": annotation}
            self._annotations.append(annotation)
            yield {"type": "response.output_text.annotation.added", **self._at, **added}

    @property
    def _at(self) -> dict[str, Any]:
        return {**self._place, "content_index": len(self.item["content"])}

    def _part(self) -> dict[str, Any]:
        text = "".join(self._text)
        if self._kind is not None and self._kind[0] == "refusal":
            return said_part(Refusal(text))
        return said_part(Text(text), written_token_logprobs(tuple(self._logprobs)), self._annotations)

    def _close_part(self) -> Made:
        if self._kind is None:
            return
        part, place = self._part(), self._at
        if self._kind[0] == "refusal":
            yield {"type": "response.refusal.done", **place, "refusal": part["refusal"]}
        else:
            done = {"text": part["text"], "logprobs": part["logprobs"]}
            yield {"type": "response.output_text.done", **place, **done}
        yield {"type": "response.content_part.done", **place, "part": part}
        self.item = {**self.item, "content": [*self.item["content"], part]}
        self._kind, self._text, self._logprobs, self._annotations = None, [], [], []

    _rest = _close_part


class Thought(Item):
    """Reasoning as a summary of one part, as other APIs do not divide it."""

    def __init__(self, id: str, index: int, began: ReasoningDelta) -> None:
        super().__init__(reasoning_item(Reasoning(), id), index)
        self.block = began.block
        self._part = Reasoning(id=began.id)
        self._text: list[str] = []

    def add(self, event: ReasoningDelta) -> Made:
        part = self._part
        self._part = replace(
            part, signature=part.signature + event.signature, encrypted=part.encrypted + event.encrypted
        )
        if not event.text:
            return
        if not self._text:
            yield {"type": "response.reasoning_summary_part.added", **self._at, "part": _summary("")}
        self._text.append(event.text)
        yield {"type": "response.reasoning_summary_text.delta", **self._at, "delta": event.text}

    @property
    def _at(self) -> dict[str, Any]:
        return {**self._place, "summary_index": 0}

    def _rest(self) -> Made:
        text = "".join(self._text)
        if text:
            yield {"type": "response.reasoning_summary_text.done", **self._at, "text": text}
            yield {"type": "response.reasoning_summary_part.done", **self._at, "part": _summary(text)}
        self.item = reasoning_item(replace(self._part, text=text), self.item["id"])


def _summary(text: str) -> dict[str, Any]:
    return {"type": "summary_text", "text": text}


class Call(Item):
    def __init__(self, part: ToolCall, base: str, index: int, tools: Mapping[str, Tool], ids: Ids) -> None:
        super().__init__({**written_call(part, base, index, tools, ids), "status": "in_progress"}, index)
        self._custom = part.custom
        self._name = "input" if part.custom else "arguments"
        self._event = "custom_tool_call_input" if part.custom else "function_call_arguments"
        self._arguments: list[str] = []

    def add(self, arguments: str) -> Made:
        self._arguments.append(arguments)
        yield {"type": f"response.{self._event}.delta", **self._place, "delta": arguments}

    def _rest(self) -> Made:
        whole = {self._name: "".join(self._arguments)}
        yield {"type": f"response.{self._event}.done", **self._place, **whole}
        self.item = {**self.item, **whole}
