"""The events of a streamed answer, and the answer that they make up."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from meshd.formats.conversation.answer import Answer, Choice, Finish, TokenLogprob
from meshd.formats.conversation.citations import Citation
from meshd.formats.conversation.parts import (
    Audio,
    Original,
    Part,
    Reasoning,
    Refusal,
    Source,
    Text,
    ToolCall,
)
from meshd.sdk.provider import Usage


class Began(msgspec.Struct, frozen=True):
    """Comes once, as the first event (Anthropic's `message_start`, Responses' `response.created`, the first chunk in
    other formats)."""

    id: str = ""
    model: str = ""
    created: int | None = None


class TextDelta(msgspec.Struct, frozen=True):
    """block: the number that the format gives to the part (Anthropic's and Responses' `index`); another number begins
    another part. The same in the events below."""

    text: str
    choice: int = 0
    block: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()


class ReasoningDelta(msgspec.Struct, frozen=True):
    """Also Anthropic's `signature_delta`, and encrypted reasoning, which comes in one piece. id: of a Responses
    item."""

    text: str = ""
    signature: str = ""
    encrypted: str = ""
    choice: int = 0
    block: int = 0
    id: str = ""


class RefusalDelta(msgspec.Struct, frozen=True):
    text: str
    choice: int = 0


class AudioDelta(msgspec.Struct, frozen=True):
    """data: base64; the pieces make one text."""

    data: str = ""
    transcript: str = ""
    id: str = ""
    expires: int | None = None
    choice: int = 0


class CallBegan(msgspec.Struct, frozen=True):
    """call: its number in the choice."""

    call: int
    id: str = ""
    name: str = ""
    custom: bool = False
    signature: str = ""
    choice: int = 0


class CallDelta(msgspec.Struct, frozen=True):
    """A piece of a call's arguments (Anthropic's `input_json_delta`); Gemini's come in one piece."""

    call: int
    arguments: str
    choice: int = 0


class Finished(msgspec.Struct, frozen=True):
    finish: Finish
    choice: int = 0
    sequence: str = ""


class Used(msgspec.Struct, frozen=True):
    """A report of usage; a later one replaces it (Anthropic's has the input at the start, all of it at the end)."""

    usage: Usage


class Unread(msgspec.Struct, frozen=True):
    """Something that only its own format has. choice: None if it belongs to the whole answer."""

    original: Original
    choice: int | None = None


class Cited(msgspec.Struct, frozen=True):
    """What the text so far cites. It comes after that text, and its places count from the choice's beginning."""

    citation: Citation
    choice: int = 0


Event = (
    Began | TextDelta | ReasoningDelta | RefusalDelta | AudioDelta | CallBegan | CallDelta | Finished | Used | Unread
    | Cited
)  # fmt: skip


def assembled(events: Iterable[Event]) -> Answer:
    """The answer that a stream's events make up, without those that only their own format has."""
    began, usage = Began(), None
    choices: dict[int, _Building] = {}
    for event in events:
        match event:
            case Began():
                began = event
            case Used():
                usage = event.usage
            case Unread():
                pass
            case _:
                choices.setdefault(event.choice, _Building()).add(event)
    made = tuple(choices[index].choice(index) for index in sorted(choices))
    return Answer(made, began.id, began.model, began.created, usage)


class _Building:
    """The part of a choice that has come. Pieces are joined at the end, so that the work is proportional to the
    length."""

    def __init__(self) -> None:
        self._parts: list[tuple[object, Part, list[str]]] = []  # (its identity, the part, its text)
        self._calls: dict[int, tuple[object, Part, list[str]]] = {}
        self._finished: Finished | None = None
        self._logprobs: list[TokenLogprob] = []
        self._citations: list[Citation] = []

    def add(self, event: Event) -> None:
        match event:
            case TextDelta():
                self._part(("text", event.block), Text("")).append(event.text)
                self._logprobs += event.logprobs
            case ReasoningDelta():
                self._think(event)
            case RefusalDelta():
                self._part("refusal", Refusal("")).append(event.text)
            case AudioDelta():
                self._hear(event)
            case CallBegan():
                call = ToolCall(event.id, event.name, "", event.custom, event.signature)
                entry: tuple[object, Part, list[str]] = (("call", event.call), call, [])
                self._calls[event.call] = entry
                self._parts.append(entry)
            case CallDelta():
                if event.call not in self._calls:
                    self.add(CallBegan(event.call))
                self._calls[event.call][2].append(event.arguments)
            case Cited():
                self._citations.append(event.citation)
            case Finished():
                self._finished = event

    def _part(self, kind: object, empty: Part) -> list[str]:
        """The text of the last part, if it is of that kind, else of a new one."""
        if not self._parts or self._parts[-1][0] != kind:
            self._parts.append((kind, empty, []))
        return self._parts[-1][2]

    def _think(self, event: ReasoningDelta) -> None:
        self._part(("reasoning", event.block), Reasoning()).append(event.text)
        if event.signature or event.encrypted or event.id:
            kind, part, text = self._parts[-1]
            assert isinstance(part, Reasoning), "it was added just now"
            signature, encrypted = part.signature + event.signature, part.encrypted + event.encrypted
            thought = replace(part, signature=signature, encrypted=encrypted, id=event.id or part.id)
            self._parts[-1] = (kind, thought, text)

    def _hear(self, event: AudioDelta) -> None:
        place = next((n for n, (kind, _, _) in enumerate(self._parts) if kind == "audio"), None)
        if place is None:
            place = len(self._parts)
            self._parts.append(("audio", Audio(Source()), []))
        kind, part, text = self._parts[place]
        assert isinstance(part, Audio), "it was added as one"
        text.append(event.data)
        heard = replace(
            part,
            source=replace(part.source, id=event.id or part.source.id),
            transcript=part.transcript + event.transcript,
            expires=part.expires if event.expires is None else event.expires,
        )
        self._parts[place] = (kind, heard, text)

    def choice(self, index: int) -> Choice:
        parts = tuple(_whole(part, "".join(text)) for _, part, text in self._parts)
        finish, sequence = (None, "") if self._finished is None else (self._finished.finish, self._finished.sequence)
        return Choice(parts, finish, index, sequence, tuple(self._logprobs), tuple(self._citations))


def _whole(part: Part, text: str) -> Part:
    match part:
        case ToolCall():
            return replace(part, arguments=text)
        case Audio():
            return replace(part, source=replace(part.source, data=text))
        case Text() | Refusal() | Reasoning():
            return replace(part, text=text)
    return part
