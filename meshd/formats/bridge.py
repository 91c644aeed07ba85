"""Makes a provider that speaks another format appear to speak the app's.

Owns: the translation of one call, both ways, through neutral records.
Must never: be used if app and provider speak the same format, since their bytes pass unchanged; except for a request
with custom tools to a provider that only knows functions.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, TypeVar
from uuid import uuid4

import msgspec
from msgspec.structs import replace as changed

from meshd.formats.conversation.answer import Answer
from meshd.formats.conversation.events import (
    AudioDelta,
    Began,
    CallBegan,
    CallDelta,
    Event,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
)
from meshd.formats.conversation.instructions import with_instructions_first
from meshd.formats.conversation.reading import Unreadable
from meshd.formats.conversation.request import Conversation
from meshd.formats.conversation.tools.freeform import with_functions
from meshd.formats.multipart.files import with_files
from meshd.formats.protocol import Format, ProviderFormat, ProviderTranslator, Translator
from meshd.sdk.provider import FailureKind, Provider, ProviderAnswer, ProviderCall, ProviderFailure, StreamEvent, Usage
from modelmesh.errors import InvalidRequestError

_encode = msgspec.json.Encoder().encode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Bridge:
    """Has the `execute` and `stream` of a provider. app, spoken: the app's format, and the provider's. input_tokens:
    those of the request, as the mesh counts them."""

    def __init__(self, provider: Provider, app: Format, spoken: ProviderFormat, input_tokens: int) -> None:
        self.name = provider.name
        self._provider = provider
        self._app, self._spoken = app, spoken
        self._input_tokens = input_tokens
        self._ours: Translator = app.translator()
        self._theirs: ProviderTranslator = spoken.translator()

    async def execute(self, call: ProviderCall) -> ProviderAnswer:
        """Raises ProviderFailure."""
        if not call.operation.conversation:
            return await self._other(call)
        asked, call = self._translated(call)
        answer = await self._provider.execute(call)
        try:
            read = _named(self._theirs.read_answer(answer.body), call.model)
            answer.body = self._ours.write_answer(read, asked)
        except Unreadable as error:
            raise self._unreadable(error, answer.body) from None
        return answer

    async def stream(self, call: ProviderCall) -> AsyncIterator[StreamEvent]:
        """Raises ProviderFailure."""
        if not call.operation.conversation:
            raise self._inexpressible(InvalidRequestError("`stream` is not possible with this model", param="stream"))
        asked, call = self._translated(call)
        reader, writer = self._theirs.event_reader(), self._ours.event_writer(asked, self._input_tokens)
        finish_reason: str | None = None  # from an event, to be sent later in the app's format
        usage: Usage | None = None  # the last report, which may also be sent later in the app's format
        events: Any = self._provider.stream(call)
        async with aclosing(events):
            async for event in events:
                try:
                    read = (_named(each, call.model) for each in reader.read(event.data))
                    written = [(each, writer.write(each)) for each in read]
                except Unreadable as error:
                    raise self._unreadable(error, event.data) from None
                finish_reason, usage = finish_reason or event.finish_reason, event.usage or usage
                made = _told(event, written, finish_reason)
                if made[-1].finish_reason is not None:
                    finish_reason = None
                for told in made:
                    yield told
        for payload in writer.end():
            yield StreamEvent(payload, finish_reason=finish_reason, usage=usage)
            finish_reason = None

    async def _other(self, call: ProviderCall) -> ProviderAnswer:
        """An operation that is not a conversation is translated through OpenAI's form of it. A multipart form becomes
        its fields in JSON, in which files have their `data` in base64."""
        name, spoken = call.operation.name, self._spoken
        ours, theirs = self._app.app_operations.get(name), spoken.operations.get(name)
        if spoken.name not in call.operation.paths or (call.form is not None and theirs is None):
            raise self._lacking(call)
        try:
            given = call.fields if call.form is None else with_files(call.form, call.fields)
            asked = ours().read_request(given) if ours is not None else given
            fields = theirs().write_request(asked, call.model) if theirs is not None else asked
        except InvalidRequestError as error:
            raise self._inexpressible(error) from None
        sent = changed(call, fields=fields, form=None, format=spoken.name, headers={}, query={})
        answer = await self._provider.execute(sent)
        try:
            if theirs is not None:
                answer.body = theirs().read_answer(answer.body, asked, call.model)
            if ours is not None:
                answer.body = ours().write_answer(answer.body, call.fields)
        except Unreadable as error:
            raise self._unreadable(error, answer.body) from None
        return answer

    def _translated(self, call: ProviderCall) -> tuple[Conversation, ProviderCall]:
        """What the app asks, and the same for the provider."""
        spoken = self._spoken
        if spoken.name not in call.operation.paths:
            raise self._lacking(call)
        try:
            asked = self._ours.read_request(_encode(call.fields))
            parameters = asked.parameters
            if parameters.stream_usage is not parameters.stream:
                parameters = changed(parameters, stream_usage=parameters.stream)
            if spoken.needs_limit and parameters.max_output_tokens is None:
                parameters = changed(parameters, max_output_tokens=call.most_output)
            told = asked if self._provider.custom_tools else with_functions(asked)
            if not (self._spoken.late_instructions or self._provider.late_instructions):
                told = with_instructions_first(told)
            body = self._theirs.write_request(changed(told, model=call.model, parameters=parameters))
        except InvalidRequestError as error:
            raise self._inexpressible(error) from None
        # What is forwarded besides the body is in the app's format too.
        headers, query = (call.headers, call.query) if self._app is spoken else ({}, {})
        return asked, changed(call, fields=_fields(body), format=spoken.name, headers=headers, query=query)

    def _lacking(self, call: ProviderCall) -> ProviderFailure:
        message = f"{self.name} speaks the format {self._spoken.name}, which has no {call.operation}"
        return ProviderFailure(FailureKind.UNSUPPORTED, message, unsent=True)

    def _inexpressible(self, error: InvalidRequestError) -> ProviderFailure:
        """The failure for what the provider's format cannot express; another member's format may be able to."""
        message = f"{error.message} (for a provider of the format {self._spoken.name})"
        return ProviderFailure(FailureKind.UNSUPPORTED, message, unsent=True)

    def _unreadable(self, error: Unreadable, body: bytes) -> ProviderFailure:
        message = f"{self.name} answered what cannot be translated: {error}"
        return ProviderFailure(FailureKind.BAD_ANSWER, message, status=200, body=body[:4096])


_NAMED = (Answer, Began)
_Told = TypeVar("_Told", bound=Answer | Event)


def _named(told: _Told, model: str) -> _Told:
    """An answer, or its beginning, with an id and a model added, which not all APIs give (Bedrock)."""
    if not isinstance(told, _NAMED) or (told.id and told.model):
        return told
    return changed(told, id=told.id or uuid4().hex, model=told.model or model)


_KINDS = {TextDelta: "text", ReasoningDelta: "reasoning", CallBegan: "extra", CallDelta: "extra"} | {
    RefusalDelta: "extra",
    AudioDelta: "extra",
}


def _told(event: StreamEvent, written: list[tuple[Event, list[bytes]]], finish_reason: str | None) -> list[StreamEvent]:
    """A provider's event in another format, where it may become several. Its content goes with the one whose payload
    contains it, so that the stream can continue another; its usage goes with each, as any may report it."""
    payloads = [payload for _, each in written for payload in each]
    if not payloads:
        return [changed(event, data=b"", hidden=True, finish_reason=None)]
    if len(payloads) == 1:  # nearly every one
        content = event.content or bool(event.text or event.reasoning or event.extra)
        return [changed(event, data=payloads[0], content=content, hidden=False, finish_reason=finish_reason)]
    made = [StreamEvent(payload, usage=event.usage) for payload in payloads]
    left = {"text": event.text, "reasoning": event.reasoning, "extra": event.extra}
    place = -1
    for part, each in written:
        place += len(each)
        kind = _KINDS.get(type(part), "")
        if each and left.get(kind):
            said = _share(part, left[kind])
            left[kind] = left[kind][len(said) :]
            made[place] = changed(made[place], content=True, **{kind: said})
    last = made.pop()
    told = {kind: getattr(last, kind) + left[kind] for kind in left}
    content = any(told.values()) or (event.content and not any(each.content for each in made))
    made.append(changed(event, data=last.data, content=content, hidden=False, finish_reason=finish_reason, **told))
    return made


def _share(part: Event, words: str) -> str:
    """The share of the event's text that the payload of one part contains; the text may be spread over several
    parts."""
    own = part.text if isinstance(part, TextDelta | ReasoningDelta) else ""
    return own if own and words.startswith(own) else words
