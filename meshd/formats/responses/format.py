"""The Responses API behind the protocol of all formats."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cache

import msgspec

from meshd.core.needs import Named
from meshd.formats.keeping import Keeping
from meshd.formats.openai.body.parameters import with_parameters
from meshd.formats.openai.models import read_listing, read_model
from meshd.formats.protocol import Format, Reading, Translator
from meshd.formats.responses import stored
from meshd.formats.responses.answer import answer_text, read_answer
from meshd.formats.responses.body import known_items, meaning
from meshd.formats.responses.body.needs import read
from meshd.formats.responses.body.parameters import with_output_limit
from meshd.formats.responses.body.reasoning import without_reasoning
from meshd.formats.responses.body.tokens import count
from meshd.formats.responses.errors import stream_error
from meshd.formats.responses.request import RequestWriter
from meshd.formats.responses.seam import EventSeam
from meshd.formats.responses.stream.assembled import Assembly
from meshd.formats.responses.stream.event_stream import EventReader
from meshd.formats.responses.usage import usage_map
from meshd.formats.responses.wire import type_of
from meshd.formats.sides import JSONAppSide, JSONProviderSide
from meshd.sdk.provider import OperationSpec, ProviderCall, ProviderSettings

_NAME = "responses"


class ResponsesProviderSide(JSONProviderSide):
    """Its quirks are also those of `request.py`."""

    name = _NAME
    assembling = Assembly
    reader = EventReader
    read_models = staticmethod(read_listing)
    read_model = staticmethod(read_model)

    def __init__(self, settings: ProviderSettings) -> None:
        super().__init__(settings)
        self.write = RequestWriter(settings).write

    def read_answer(self, body: bytes, call: ProviderCall) -> Reading:
        return read_answer(body)


class ResponsesAppSide(JSONAppSide):
    name = _NAME
    immaterial = meaning.IMMATERIAL
    headers_passed_on = ("openai-beta",)
    keeping: Keeping | None = stored
    counted = staticmethod(stored.input_tokens)

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
    priced = staticmethod(known_items.priced)
    stream_error = staticmethod(stream_error)

    def names(self, fields: Mapping[str, msgspec.Raw], text: Collection[str]) -> Iterator[Named]:
        return known_items.load_item_fields().names(fields, {*text, "input", "instructions"})

    def seam(self, first: bytes, operation: OperationSpec, last: bytes = b"", text: str = "") -> EventSeam:
        return EventSeam(first, last, text)

    def event(self, data: bytes) -> bytes:
        kind = type_of(data)
        lines = b"\n".join(b"data: " + line for line in data.splitlines())
        return (b"event: " + kind + b"\n" if kind else b"") + lines + b"\n\n"


@cache
def _translator() -> Translator:
    """Loaded when two formats meet."""
    from meshd.formats.responses.conversation.translator import ResponsesTranslator

    return ResponsesTranslator()


RESPONSES = Format(name=_NAME, provider=ResponsesProviderSide, app=ResponsesAppSide(), translator=_translator)
