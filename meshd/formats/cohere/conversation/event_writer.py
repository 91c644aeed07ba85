"""A streamed answer: events of records as its own.

Owns: opening and closing content, one block at a time, with numbers that count up.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshd.formats.cohere.conversation.answer import new_id, written_finish
from meshd.formats.cohere.conversation.citations import written_citations
from meshd.formats.cohere.usage import usage_map
from meshd.formats.conversation.answer import Finish
from meshd.formats.conversation.citations import Citation
from meshd.formats.conversation.events import (
    AudioDelta,
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
from meshd.sdk.provider import Usage

_encode = msgspec.json.Encoder().encode


class ChatWriter:
    """Writes one stream. input_tokens: those of its request, in case the provider reports none."""

    def __init__(self, input_tokens: int = 0) -> None:
        self._usage = Usage(input_tokens)
        self._id = ""
        self._started = False
        self._finish: Finish | None = None
        self._index = -1  # of the content that was opened last
        self._open: tuple[str, object] | None = None
        self._calls: set[int] = set()
        self._text: list[str] = []
        self._cited: list[Citation] = []

    def write(self, event: Event) -> list[bytes]:
        match event:
            case Began():
                self._id = new_id(event.id)
                return []
            case Used():
                self._usage = event.usage
                return []
            case Unread():
                return []
        if event.choice:
            return []  # only one can be asked for
        match event:
            case Finished():
                self._finish = event.finish
                return []
            case Cited():
                self._cited.append(event.citation)
                return []
            case TextDelta():
                self._text.append(event.text)
                return self._say("text", event.block, event.text)
            case RefusalDelta():
                return self._say("text", "refusal", event.text)
            case AudioDelta():
                return self._say("text", "audio", event.transcript)
            case ReasoningDelta():
                return self._say("thinking", event.block, event.text)
            case CallBegan():
                function = {"name": event.name, "arguments": ""}
                call = {"id": event.id or f"call_{event.call}", "type": "function", "function": function}
                self._calls.add(event.call)
                return [*self._start(), *self._close(), _of_call("tool-call-start", event.call, call)]
            case CallDelta():
                return [_of_call("tool-call-delta", event.call, {"function": {"arguments": event.arguments}})]

    def end(self) -> list[bytes]:
        """The rest of the content and the calls, and the message's own end."""
        made = [*self._start(), *self._close()]
        for number, cited in enumerate(written_citations("".join(self._text), self._cited)):
            said = {"delta": {"message": {"citations": cited}}}
            made.append(_encode({"type": "citation-start", "index": number, **said}))
            made.append(_encode({"type": "citation-end", "index": number}))
        made += [_encode({"type": "tool-call-end", "index": call}) for call in sorted(self._calls)]
        finish = written_finish(self._finish, calls=bool(self._calls))
        delta = {"finish_reason": finish, "usage": usage_map(self._usage)}
        return [*made, _encode({"type": "message-end", "id": self._id, "delta": delta})]

    def _start(self) -> list[bytes]:
        if self._started:
            return []
        self._started, self._id = True, new_id(self._id)
        message = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        return [_encode({"type": "message-start", "id": self._id, "delta": {"message": message}})]

    def _say(self, kind: str, block: object, text: str) -> list[bytes]:
        if not text:
            return []
        made = self._start()
        if self._open != (kind, block):
            made += self._close()
            self._open, self._index = (kind, block), self._index + 1
            made.append(self._content("content-start", {"type": kind, kind: ""}))
        return [*made, self._content("content-delta", {kind: text})]

    def _content(self, type: str, content: dict[str, Any]) -> bytes:
        return _encode({"type": type, "index": self._index, "delta": {"message": {"content": content}}})

    def _close(self) -> list[bytes]:
        if self._open is None:
            return []
        self._open = None
        return [_encode({"type": "content-end", "index": self._index})]


def _of_call(type: str, call: int, said: dict[str, Any]) -> bytes:
    return _encode({"type": type, "index": call, "delta": {"message": {"tool_calls": said}}})
