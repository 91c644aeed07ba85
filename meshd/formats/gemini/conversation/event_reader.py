"""A streamed response: its chunks, which are responses themselves, as the events of records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

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
    TextDelta,
    Unread,
    Used,
)
from meshd.formats.conversation.parts import Audio, Original, Part, Reasoning, Text, ToolCall
from meshd.formats.conversation.reading import Fields, Unreadable, answer_of, json_of
from meshd.formats.gemini.conversation.answer import created_at, identified, read_logprobs
from meshd.formats.gemini.conversation.content import FORMAT, camelled, read_parts, written_part
from meshd.formats.gemini.conversation.finishes import finish_of
from meshd.formats.gemini.conversation.grounding import KEYS, citations_of
from meshd.formats.gemini.usage import units_in, usage_in
from meshd.formats.gemini.wire import is_blocked
from meshd.sdk.provider import Usage
from meshd.sdk.reading.lenient import UNREADABLE

_OF_A_RESPONSE = frozenset({"candidates", "usageMetadata", "modelVersion", "responseId", "createTime"})
_OF_A_CANDIDATE = frozenset({"content", "finishReason", "index", "logprobsResult", *KEYS})


class _Part(msgspec.Struct, gc=False):
    text: str
    thought: bool = False
    thoughtSignature: None = None
    thought_signature: None = None


class _Content(msgspec.Struct, gc=False):
    parts: list[_Part]


class _Candidate(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    content: _Content
    index: int = 0


class _Chunk(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """What most of a stream consists of: texts of one candidate."""

    candidates: list[_Candidate]
    usageMetadata: dict[str, Any] | None = None
    modelVersion: str = ""
    responseId: str = ""


_decode = msgspec.json.Decoder(_Chunk).decode


class ChunkReader:
    """Reads one stream: `read` its chunks in order."""

    def __init__(self) -> None:
        self._id: str | None = None
        self._calls: dict[int, int] = {}  # of each candidate
        self._thoughts: dict[int, int] = {}  # thoughts that have ended, of each candidate
        self._texts: dict[int, list[str]] = {}  # of each candidate
        self._cited: dict[int, set[Citation]] = {}  # of each candidate: chunks may repeat citations
        self._units: dict[str, int] = {}
        self._usage: Usage | None = None

    def read(self, data: bytes) -> list[Event]:
        """Raises Unreadable."""
        plain = self._plain(data) if self._id is not None else None
        if plain is not None:
            return plain
        document = answer_of(data)
        try:
            return list(self._events(camelled(Fields(document, "", FORMAT, strict=False)).left))
        except RecursionError:
            raise Unreadable("it is nested too deeply") from None

    def _plain(self, data: bytes) -> list[Event] | None:
        """The events of a chunk that has only texts; None if it has more."""
        try:
            chunk = _decode(data)
        except UNREADABLE:
            return None
        if len(chunk.candidates) != 1:
            return None
        [candidate] = chunk.candidates
        choice = candidate.index
        events: list[Event] = [
            self._thought(part.text, "", choice) if part.thought else self._text(part.text, choice)
            for part in candidate.content.parts
            if part.text
        ]
        events.extend(self._used(chunk.usageMetadata))
        return events

    def _used(self, report: Any) -> Iterator[Event]:
        usage = usage_in(report, tuple(self._units.items()))
        if usage is not None and usage != self._usage:
            self._usage = usage
            yield Used(usage)

    def _events(self, document: dict[str, Any]) -> Iterator[Event]:
        if self._id is None:
            fields = Fields(document, "", FORMAT, strict=False)
            self._id = fields.text("responseId")
            yield Began(self._id, fields.text("modelVersion"), created_at(document.get("createTime")))
        given = document.get("candidates")
        candidates = [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
        for position, candidate in enumerate(candidates):
            yield from self._candidate(camelled(Fields(candidate, "", FORMAT, strict=False)), position)
        if is_blocked(document) and not candidates:
            yield Finished(Finish.FILTER)
        if unknown := {name: value for name, value in document.items() if name not in _OF_A_RESPONSE}:
            yield Unread(Original(FORMAT, json_of(unknown)))
        for name, count in units_in(candidates):
            self._units[name] = self._units.get(name, 0) + count
        yield from self._used(document.get("usageMetadata"))

    def _candidate(self, fields: Fields, position: int) -> Iterator[Event]:
        index = fields.whole("index")
        choice = position if index is None else index
        content = fields.left.get("content")
        logprobs = read_logprobs(fields.left.get("logprobsResult"))
        events: list[Event] = []
        if isinstance(content, dict):
            parts = read_parts(camelled(Fields(content, "", FORMAT, strict=False)))
            for part in identified(parts, self._id or "", self._calls.get(choice, 0)):
                events += self._part(part, choice)
        texts = [n for n, event in enumerate(events) if isinstance(event, TextDelta)]
        if logprobs and texts:
            events[texts[0]] = replace(events[texts[0]], logprobs=logprobs)
        at = texts[-1] + 1 if texts else 0
        yield from events[:at]
        yield from self._cites(fields.left, choice)
        yield from events[at:]
        if unknown := {name: value for name, value in fields.left.items() if name not in _OF_A_CANDIDATE}:
            yield Unread(Original(FORMAT, json_of(unknown)), choice)
        finish = finish_of(fields.left.get("finishReason"), calls=bool(self._calls.get(choice)))
        if finish is not None:
            yield Finished(finish, choice)

    def _part(self, part: Part, choice: int) -> Iterator[Event]:
        match part:
            case Reasoning():
                if part.text or part.signature:
                    yield self._thought(part.text, part.signature, choice)
            case Text():
                if part.text:
                    yield self._text(part.text, choice)
                if part.signature:
                    yield self._thought("", part.signature, choice)
            case ToolCall():
                call = self._calls.get(choice, 0)
                self._calls[choice] = call + 1
                if part.signature:
                    yield self._thought("", part.signature, choice)
                yield CallBegan(call, part.id, part.name, signature=part.signature, choice=choice)
                yield CallDelta(call, part.arguments, choice)
            case Audio() if part.source.data:
                yield AudioDelta(part.source.data, choice=choice)
            case _:
                self._thoughts[choice] = self._thoughts.get(choice, 0) + 1
                content = {"parts": [_json(part)], "role": "model"}
                yield Unread(Original(FORMAT, json_of({"content": content})), choice)

    def _text(self, text: str, choice: int) -> TextDelta:
        self._texts.setdefault(choice, []).append(text)
        return TextDelta(text, choice)

    def _cites(self, candidate: dict[str, Any], choice: int) -> Iterator[Event]:
        if not any(candidate.get(name) for name in KEYS):
            return
        told = self._cited.setdefault(choice, set())
        for cited in citations_of(candidate, ["".join(self._texts.get(choice, ()))]):
            if cited not in told:
                told.add(cited)
                yield Cited(cited, choice)

    def _thought(self, text: str, signature: str, choice: int) -> ReasoningDelta:
        """A signature ends a thought."""
        block = self._thoughts.get(choice, 0)
        if signature:
            self._thoughts[choice] = block + 1
        return ReasoningDelta(text, signature, "", choice, block)


def _json(part: Part) -> Any:
    return msgspec.Raw(part.original.json) if part.original is not None else written_part(part, answer=True)
