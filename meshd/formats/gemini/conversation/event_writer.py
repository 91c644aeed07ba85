"""A streamed response: events of records as its chunks.

Owns: holding back a call until its arguments are complete, as this API sends them in one piece.
"""

from __future__ import annotations

from typing import Any

import msgspec

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
from meshd.formats.conversation.parts import Audio, Part, Reasoning, Source, Text, ToolCall
from meshd.formats.gemini.conversation.answer import head, written_logprobs
from meshd.formats.gemini.conversation.content import FORMAT, written_part
from meshd.formats.gemini.conversation.finishes import written_finish
from meshd.formats.gemini.conversation.grounding import written_grounding
from meshd.formats.gemini.usage import usage_map
from meshd.sdk.provider import Usage
from meshd.sdk.reading.lenient import UNREADABLE

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_USUAL_AUDIO = "audio/pcm"


class ChunkWriter:
    """Writes one stream to an app. Its chunks have the usage if it is known; the last one always does."""

    def __init__(self) -> None:
        self._head = head("", "")
        self._usage: Usage | None = None
        self._calls: dict[tuple[int, int], tuple[CallBegan, list[str]]] = {}
        self._finished: dict[int, Finished] = {}
        self._texts: dict[int, list[str]] = {}  # of each choice
        self._cited: dict[int, list[Citation]] = {}
        self._ended = False

    def write(self, event: Event) -> list[bytes]:
        match event:
            case Began():
                self._head = head(event.id, event.model)
                return []
            case Used():
                self._usage = event.usage
                return []
            case Finished():
                self._finished[event.choice] = event
                return []
            case Cited():
                self._cited.setdefault(event.choice, []).append(event.citation)
                return []
            case Unread():
                return self._unread(event)
            case CallBegan():
                made = self._calls_before(event.choice)
                self._calls[event.choice, event.call] = event, []
                return made
            case CallDelta():
                key = event.choice, event.call
                if key not in self._calls:
                    self._calls[key] = CallBegan(event.call, choice=event.choice), []
                self._calls[key][1].append(event.arguments)
                return []
        return self._part(event)

    def _part(self, event: TextDelta | ReasoningDelta | RefusalDelta | AudioDelta) -> list[bytes]:
        part: Part
        more: dict[str, Any] = {}
        match event:
            case TextDelta():
                part = Text(event.text)
                self._texts.setdefault(event.choice, []).append(event.text)
                if event.logprobs:
                    more = {"logprobsResult": written_logprobs(event.logprobs)}
            case RefusalDelta():
                part = Text(event.text)
            case AudioDelta():
                part = Audio(Source(data=event.data, media_type=_USUAL_AUDIO if event.data else ""), event.transcript)
            case ReasoningDelta():
                part = Reasoning(event.text, event.signature, event.encrypted, event.id)
        made = written_part(part, answer=True)
        if made is None:
            return []
        return [*self._calls_before(event.choice), self._chunk(event.choice, [made], more)]

    def _calls_before(self, choice: int) -> list[bytes]:
        """The calls of a choice that are complete, because something else follows them."""
        keys = [key for key in self._calls if key[0] == choice and _is_whole(self._calls[key][1])]
        return [self._call(key) for key in keys]

    def _call(self, key: tuple[int, int]) -> bytes:
        began, pieces = self._calls.pop(key)
        call = ToolCall(began.id, began.name, "".join(pieces), began.custom, began.signature)
        return self._chunk(key[0], [written_part(call, answer=True)])

    def end(self) -> list[bytes]:
        """The rest of the calls, and the end of each choice."""
        if self._ended:
            return []
        self._ended = True
        made = [self._call(key) for key in list(self._calls)]
        for choice, finished in (self._finished or {0: Finished(Finish.STOP)}).items():
            end = {"finishReason": written_finish(finished.finish)}
            text = "".join(self._texts.get(choice, ()))
            made.append(self._chunk(choice, [], end | written_grounding(self._cited.get(choice, ()), [text])))
        return made

    def _unread(self, event: Unread) -> list[bytes]:
        """A part that only this format has, as it came in another stream of this format."""
        if event.original.format != FORMAT:
            return []
        said = _decode(event.original.json)
        if event.choice is None:
            return [_encode({**said, **self._head})]
        return [_encode({"candidates": [{**said, "index": event.choice}], **self._head})]

    def _chunk(self, choice: int, parts: list[Any], more: dict[str, Any] | None = None) -> bytes:
        content: dict[str, Any] = {"parts": parts, "role": "model"} if parts else {"role": "model"}
        candidate: dict[str, Any] = {"content": content, **(more or {}), "index": choice}
        chunk: dict[str, Any] = {"candidates": [candidate]}
        if self._usage is not None:
            chunk["usageMetadata"] = usage_map(self._usage)
        return _encode({**chunk, **self._head})


def _is_whole(pieces: list[str]) -> bool:
    """Whether these arguments are complete; a call without any arguments so far may still get some."""
    try:
        _decode("".join(pieces))
    except UNREADABLE:
        return False
    return True
