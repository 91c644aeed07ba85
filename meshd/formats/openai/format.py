"""OpenAI's format behind the protocol of all formats."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cache
from urllib.parse import quote

import msgspec

from meshd.core.needs import Named, RequestNeeds
from meshd.formats.body import Body
from meshd.formats.openai import wire
from meshd.formats.openai.answer import answer_text, read_answer, with_rows
from meshd.formats.openai.body import meaning
from meshd.formats.openai.body.known_fields import load_body_fields
from meshd.formats.openai.body.needs import read
from meshd.formats.openai.body.parameters import with_output_limit, with_parameters
from meshd.formats.openai.body.reasoning import without_reasoning
from meshd.formats.openai.body.request import RequestWriter, asks_for_no_vectors, choices_asked_for
from meshd.formats.openai.body.tokens import count
from meshd.formats.openai.models import read_listing, read_model
from meshd.formats.openai.plain import read_text
from meshd.formats.openai.stream.assembled import Assembly
from meshd.formats.openai.stream.event_stream import EventReader
from meshd.formats.openai.stream.pieces import PieceReader
from meshd.formats.openai.stream.seam import ChunkSeam
from meshd.formats.openai.stream.typed_events import TypedEvents
from meshd.formats.openai.usage import usage_map
from meshd.formats.protocol import Address, Format, Opened, Reading, StreamReader, Translator
from meshd.formats.sides import JSONAppSide, JSONProviderSide
from meshd.formats.stream.event_reader import watched
from meshd.sdk.provider import OperationSpec, ProviderCall, ProviderSettings

_NAME = "openai"


class OpenAIProviderSide(JSONProviderSide):
    """Its quirks are also those of `body/request.py`."""

    name = _NAME
    assembling = Assembly
    read_models = staticmethod(read_listing)
    read_model = staticmethod(read_model)

    def __init__(self, settings: ProviderSettings) -> None:
        super().__init__(settings)
        self.write = RequestWriter(settings).write
        self._rows: dict[str, str] = dict(settings.quirks.get("rows") or {})
        self._before: str = settings.quirks.get("path", "")
        self.by_model = bool(self._before)

    def path(self, operation: OperationSpec, model: str, *, stream: bool) -> str | None:
        path = super().path(operation, model, stream=stream)
        return path and self._before.replace("{model}", quote(model, safe="")) + path

    def read_answer(self, body: bytes, call: ProviderCall) -> Reading:
        if call.operation.answer_to(call.fields) == "text":
            return read_text(body)
        if call.operation.name in self._rows:
            body = with_rows(body, self._rows[call.operation.name], call.operation.rows[0])
        return read_answer(body, call.operation, empty=asks_for_no_vectors(call))

    def stream(self, body: Body, call: ProviderCall, address: Address, opened: Opened) -> StreamReader:
        """A call without `stream` is answered with its usage, however it is sent."""
        if call.operation.answer_to(call.fields) == "binary":
            return PieceReader(body, call, address, opened)
        if call.operation.ends:
            answers, known = choices_asked_for(call), watched(call, address, opened)
            return TypedEvents(body, operation=call.operation, answers=answers, **known)
        return EventReader(
            body,
            hide_usage=call.stream and not wire.asks_for_usage(call.fields),
            choices=choices_asked_for(call),
            operation=call.operation,
            **watched(call, address, opened),
        )


class OpenAIAppSide(JSONAppSide):
    name = _NAME
    immaterial = meaning.IMMATERIAL
    headers_passed_on = ("openai-beta",)
    last = b"data: [DONE]\n\n"

    read = staticmethod(read)
    count = staticmethod(count)
    with_parameters = staticmethod(with_parameters)
    with_output_limit = staticmethod(with_output_limit)
    without_reasoning = staticmethod(without_reasoning)
    repeatable = staticmethod(meaning.repeatable)
    session = staticmethod(meaning.session)
    user = staticmethod(meaning.user)
    usage = staticmethod(usage_map)
    answer_text = staticmethod(answer_text)

    def names(self, fields: Mapping[str, msgspec.Raw], text: Collection[str]) -> Iterator[Named]:
        return load_body_fields().names(fields, text)

    def priced(self, needs: RequestNeeds, fields: Mapping[str, msgspec.Raw]) -> Mapping[str, msgspec.Raw]:
        return load_body_fields().priced(needs, fields)

    def seam(self, first: bytes, operation: OperationSpec, last: bytes = b"", text: str = "") -> ChunkSeam:
        return ChunkSeam(last or first, operation)  # Azure's first chunk has no id

    def event(self, data: bytes) -> bytes:
        return b"data: %b\n\n" % data


@cache
def _translator() -> Translator:
    """Loaded when two formats meet: most daemons never need it."""
    from meshd.formats.openai.conversation.translator import OpenAITranslator

    return OpenAITranslator()


OPENAI = Format(
    name=_NAME, provider=OpenAIProviderSide, app=OpenAIAppSide(), translator=_translator, late_instructions=False
)
