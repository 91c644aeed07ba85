"""A streamed chat completion: chunks as events, and events as chunks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from meshd.formats.conversation.answer import created_at
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
from meshd.formats.conversation.parts import Original, Reasoning
from meshd.formats.conversation.reading import Fields, Unreadable, answer_of, json_of
from meshd.formats.conversation.request import Conversation
from meshd.formats.conversation.tools.freeform import CustomCalls
from meshd.formats.openai.conversation.annotations import taken_annotations, written_annotations
from meshd.formats.openai.conversation.answer import read_finish, read_logprobs, written_finish, written_logprobs
from meshd.formats.openai.conversation.content import FORMAT
from meshd.formats.openai.conversation.messages import signature_in
from meshd.formats.openai.conversation.reasoning import DETAILS, TEXT, numbered_in, written_detail
from meshd.formats.openai.conversation.request import uses_functions
from meshd.formats.openai.usage import usage_in, usage_map
from meshd.formats.openai.wire import choices_of, index_of
from meshd.sdk.provider import Usage
from meshd.sdk.reading.lenient import UNREADABLE
from meshd.sdk.reading.message_content import REASONING
from meshd.sdk.reading.message_content import read as read_said

_encode = msgspec.json.Encoder().encode
_OBJECT = "chat.completion.chunk"
_KNOWN = frozenset({"role", "content", "refusal", "tool_calls", "function_call", "audio", *REASONING})


class _UsualDelta(msgspec.Struct, forbid_unknown_fields=True):
    content: str
    role: str | None = None
    reasoning_content: None = None
    reasoning: None = None
    refusal: None = None
    tool_calls: None = None


class _UsualChoice(msgspec.Struct, forbid_unknown_fields=True):
    delta: _UsualDelta
    index: int = 0
    finish_reason: None = None
    logprobs: None = None


class _UsualChunk(msgspec.Struct, forbid_unknown_fields=True):
    """A chunk with a piece of text and nothing else, as nearly all are."""

    choices: list[_UsualChoice]
    id: str | None = None
    object: str | None = None
    created: int | None = None
    model: str | None = None
    usage: None = None
    obfuscation: str | None = None
    # the same in the whole answer: `ChunkReader` compares them
    service_tier: str | None = None
    system_fingerprint: str | None = None
    provider: str | None = None


_OF_ALL = ("service_tier", "system_fingerprint", "provider")
_decode_usual = msgspec.json.Decoder(_UsualChunk).decode


class ChunkReader:
    """Reads one stream: `read` its chunks in order."""

    def __init__(self) -> None:
        self._began = False
        self._calls: dict[int, list[tuple[int | None, str]]] = {}  # each choice's, by index and id
        self._block: dict[int, int] = {}  # each choice's thought that came last
        self._seen: dict[str, Any] = {}  # what else its chunks say about the whole answer

    def read(self, data: bytes) -> list[Event]:
        """The events in a chunk. Raises Unreadable."""
        if self._began and (text := self._usual(data)) is not None:
            return [text]
        document = answer_of(data)
        try:
            return list(self._events(document))
        except RecursionError:
            raise Unreadable("it is nested too deeply") from None

    def _usual(self, data: bytes) -> TextDelta | None:
        """None if it takes a closer look."""
        try:
            chunk = _decode_usual(data)
        except UNREADABLE:
            return None
        if len(chunk.choices) != 1 or not chunk.choices[0].delta.content:
            return None
        if any(getattr(chunk, name) not in (None, self._seen.get(name)) for name in _OF_ALL):
            return None
        choice = chunk.choices[0]
        return TextDelta(choice.delta.content, choice.index)

    def _events(self, document: dict[str, Any]) -> Iterator[Event]:
        fields = Fields(document, "", FORMAT, strict=False)
        choices, usage = choices_of(document), usage_in(document)
        fields.take("choices")
        id, model, created = fields.text("id"), fields.text("model"), fields.whole("created")
        if not self._began:
            self._began = True
            yield Began(id, model, created)
        for name in ("object", "usage", "obfuscation"):
            fields.left.pop(name, None)
        new = {name: value for name, value in fields.left.items() if self._seen.get(name) != value}
        if new:
            self._seen |= new
            yield Unread(Original(FORMAT, json_of(new)))
        for position, choice in enumerate(choices):
            yield from self._of_choice(Fields(choice, "", FORMAT, strict=False), index_of(choice, position))
        if usage is not None:
            yield Used(usage)

    def _of_choice(self, fields: Fields, index: int) -> Iterator[Event]:
        fields.take("index")
        finish, logprobs = read_finish(fields), read_logprobs(fields)
        delta = fields.take("delta")
        if isinstance(delta, dict):
            yield from self._of_delta(delta, index, logprobs)
        elif delta is not None:
            fields.left["delta"] = delta
        fields.left.pop("finish_reason", None)
        if fields.left:
            yield Unread(Original(FORMAT, json_of(fields.left)), index)
        if finish is not None:
            yield Finished(finish, index)

    def _of_delta(self, delta: dict[str, Any], index: int, logprobs: Any) -> Iterator[Event]:
        for number, part in numbered_in(delta):
            if part.text or not (part.signature or part.id):  # otherwise it belongs to the previous thought
                self._block[index] = number
            block = self._block.get(index, number)
            yield ReasoningDelta(part.text, part.signature, part.encrypted, index, block, part.id)
        text, thought, _ = read_said({"content": delta.get("content")})
        if thought:  # Mistral's, inside the content
            yield ReasoningDelta(thought, choice=index)
        if text or logprobs:
            yield TextDelta(text, index, logprobs=logprobs)
        refusal = delta.get("refusal")
        if isinstance(refusal, str) and refusal:
            yield RefusalDelta(refusal, index)
        audio = delta.get("audio")
        if isinstance(audio, dict):
            yield from _audio(Fields(audio, "", FORMAT, strict=False), index)
        calls = delta.get("tool_calls")
        calls = [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
        for position, call in enumerate(calls):
            yield from self._of_call(Fields(call, "", FORMAT, strict=False), index, position, len(calls))
        function = delta.get("function_call")
        if isinstance(function, dict):
            yield from self._of_call(Fields({"index": 0, "function": function}, "", FORMAT, strict=False), index, 0, 1)
        rest = Fields({name: value for name, value in delta.items() if name not in _KNOWN}, "", FORMAT, strict=False)
        for cited in taken_annotations(rest):
            yield Cited(cited, index)
        if unknown := rest.left:
            yield Unread(Original(FORMAT, json_of({"delta": unknown})), index)

    def _of_call(self, fields: Fields, choice: int, position: int, count: int) -> Iterator[Event]:
        number, id = fields.whole("index"), fields.text("id")
        custom = isinstance(fields.left.get("custom"), dict)
        inner = fields.inner("custom" if custom else "function")
        name = inner.text("name")
        value = inner.left.get("input" if custom else "arguments")
        arguments = value if isinstance(value, str) else "" if value is None else json_of(value).decode()
        calls = self._calls.setdefault(choice, [])
        call = _same(calls, number, id, position, count)
        if call is None:
            call = len(calls)
            calls.append((number, id))
            yield CallBegan(call, id, name, custom, signature_in(fields.left), choice)
        if arguments:
            yield CallDelta(call, arguments, choice)


def _same(calls: list[tuple[int | None, str]], number: int | None, id: str, position: int, count: int) -> int | None:
    """The call that a piece belongs to, None for a new one. By id first: some servers give all calls one index, or
    none."""
    places = [place for place, (known, _) in enumerate(calls) if number is None or known == number]
    if id:
        places = [place for place in places if calls[place][1] in (id, "")]
    elif number is None and count > 1:
        places = places[position : position + 1]
    return places[-1] if places else None


def _audio(fields: Fields, choice: int) -> Iterator[Event]:
    data, transcript, id = fields.text("data"), fields.text("transcript"), fields.text("id")
    expires = fields.whole("expires_at")
    if data or transcript or id or expires is not None:
        yield AudioDelta(data, transcript, id, expires, choice)


class ChunkWriter:
    """Writes one stream to an app. asked: its request."""

    def __init__(self, asked: Conversation | None = None) -> None:
        self._began = Began()
        self._created = 0
        self._deprecated = uses_functions(asked)
        self._tells_usage = asked is None or asked.parameters.stream_usage
        self._usage: Usage | None = None  # the last report
        self._spoken: set[int] = set()  # choices that have had their role
        self._custom: set[tuple[int, int]] = set()
        self._again = CustomCalls(asked)
        self._cited: dict[int, list[Citation]] = {}  # each choice's: sent at once, as OpenAI's clients join no lists
        self._thoughts: dict[int, tuple[int, int, bool]] = {}  # each choice's last: its index, its block, whether ended

    def write(self, event: Event) -> list[bytes]:
        """The chunk for an event, if there is one for it."""
        return [chunk for each in self._again.read(event) for chunk in self._written(each)]

    def _written(self, event: Event) -> list[bytes]:
        match event:
            case Began():
                self._began, self._created = event, created_at(event.created)
                return []
            case Used():
                self._usage = event.usage
                return []
            case Unread():
                return [self._unread(event)] if event.original.format == FORMAT else []
            case Cited():
                self._cited.setdefault(event.choice, []).append(event.citation)
                return []
            case Finished():
                rest = [chunk for each in self._again.end() for chunk in self._written(each)]
                if cited := written_annotations(self._cited.pop(event.choice, ())):
                    delta = {"annotations": cited}
                    rest.append(self._chunk([{"index": event.choice, "delta": delta, "finish_reason": None}]))
                finish = written_finish(event.finish, deprecated=self._deprecated)
                return [*rest, self._chunk([{"index": event.choice, "delta": {}, "finish_reason": finish}])]
        choice: dict[str, Any] = {"index": event.choice, "delta": self._delta(event), "finish_reason": None}
        if isinstance(event, TextDelta) and event.logprobs:
            choice["logprobs"] = written_logprobs(event.logprobs)
        if event.choice not in self._spoken:
            self._spoken.add(event.choice)
            choice["delta"] = {"role": "assistant", **choice["delta"]}
        return [self._chunk([choice])]

    def end(self) -> list[bytes]:
        """The usage: apps read it in the last chunk."""
        if self._usage is None or not self._tells_usage:
            return []
        return [self._chunk([], usage_map(self._usage))]

    def _delta(self, event: Any) -> dict[str, Any]:
        match event:
            case TextDelta():
                return {"content": event.text}
            case ReasoningDelta():
                return self._thought(event)
            case RefusalDelta():
                return {"refusal": event.text}
            case AudioDelta():
                audio = {"id": event.id, "data": event.data, "transcript": event.transcript}
                said: dict[str, Any] = {name: value for name, value in audio.items() if value}
                if event.expires is not None:
                    said["expires_at"] = event.expires
                return {"audio": said}
            case CallBegan():
                return self._call_began(event)
            case CallDelta():
                return self._call_delta(event)
        raise AssertionError(f"{type(event).__name__} is not a delta")

    def _thought(self, event: ReasoningDelta) -> dict[str, Any]:
        """Each piece also gets an entry, so that apps can send back every thought with its own signature. The id comes
        only once, as apps join all texts."""
        said: dict[str, Any] = {TEXT: event.text} if event.text else {}
        sealed = bool(event.signature or event.encrypted)
        if event.text or sealed:
            part = Reasoning(event.text, event.signature, event.encrypted, event.id if sealed else "")
            said[DETAILS] = [{**written_detail(part), "index": self._index_of(event)}]
        return said

    def _index_of(self, event: ReasoningDelta) -> int:
        """A thought ends with its signature, and where another block begins."""
        index, block, ended = self._thoughts.get(event.choice, (0, event.block, False))
        if block != event.block or (ended and (event.text or event.encrypted)):
            index, ended = index + 1, False
        self._thoughts[event.choice] = index, event.block, ended or bool(event.signature or event.encrypted)
        return index

    def _call_began(self, event: CallBegan) -> dict[str, Any]:
        if self._deprecated:
            return {"function_call": {"name": event.name, "arguments": ""}}
        kind, arguments = ("custom", "input") if event.custom else ("function", "arguments")
        if event.custom:
            self._custom.add((event.choice, event.call))
        call: dict[str, Any] = {
            "index": event.call,
            "id": event.id or f"call_{event.call}",
            "type": kind,
            kind: {"name": event.name, arguments: ""},
        }
        if event.signature:
            call["extra_content"] = {"google": {"thought_signature": event.signature}}
        return {"tool_calls": [call]}

    def _call_delta(self, event: CallDelta) -> dict[str, Any]:
        if self._deprecated:
            return {"function_call": {"arguments": event.arguments}}
        custom = (event.choice, event.call) in self._custom
        piece = {"custom": {"input": event.arguments}} if custom else {"function": {"arguments": event.arguments}}
        return {"tool_calls": [{"index": event.call, **piece}]}

    def _unread(self, event: Unread) -> bytes:
        fields = msgspec.json.decode(event.original.json)
        if event.choice is None:
            return self._chunk([], more=fields)
        return self._chunk([{"index": event.choice, "delta": {}, "finish_reason": None, **fields}])

    def _chunk(
        self, choices: list[dict[str, Any]], usage: dict[str, Any] | None = None, more: dict[str, Any] | None = None
    ) -> bytes:
        chunk: dict[str, Any] = {
            "id": self._began.id,
            "object": _OBJECT,
            "created": self._created,
            "model": self._began.model,
            "choices": choices,
        }
        if usage is not None:
            chunk["usage"] = usage
        return _encode(chunk | (more or {}))
