"""Anthropic's Messages API behind the protocol of all formats."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache

import msgspec

from meshd.core.needs import Named, RequestNeeds
from meshd.formats.anthropic import answer
from meshd.formats.anthropic.body import meaning
from meshd.formats.anthropic.body.needs import read
from meshd.formats.anthropic.body.parameters import with_output_limit
from meshd.formats.anthropic.body.reasoning import without_reasoning
from meshd.formats.anthropic.body.tokens import count
from meshd.formats.anthropic.errors import error_body
from meshd.formats.anthropic.models import read_listing, read_model
from meshd.formats.anthropic.request import RequestWriter
from meshd.formats.anthropic.seam import MessageSeam
from meshd.formats.anthropic.stream.assembled import Assembly
from meshd.formats.anthropic.stream.event_stream import EventReader
from meshd.formats.anthropic.usage import usage_map
from meshd.formats.limit_headers import as_anthropic
from meshd.formats.model_pages import after_last
from meshd.formats.openai.body.known_fields import load_body_fields
from meshd.formats.openai.body.parameters import with_parameters
from meshd.formats.protocol import Format, Reading, Translator
from meshd.formats.sides import JSONAppSide, JSONProviderSide
from meshd.sdk.provider import OperationSpec, ProviderCall, ProviderSettings, RateLimits
from meshd.sdk.reading import lenient

_NAME = "anthropic"
VERSION = "2023-06-01"
_TYPE = re.compile(rb'\s*\{\s*"type"\s*:\s*"([a-z_]+)"')


class AnthropicProviderSide(JSONProviderSide):
    """Its quirks are also those of `request.py`."""

    name = _NAME
    usual_models_path = "models?limit=1000"
    more_models = staticmethod(after_last("after_id"))
    usual_key_header = "x-api-key"
    assembling = Assembly
    reader = EventReader
    read_models = staticmethod(read_listing)
    read_model = staticmethod(read_model)

    def __init__(self, settings: ProviderSettings) -> None:
        super().__init__(settings)
        self.write = RequestWriter(settings).write

    def headers(self, key: str) -> Mapping[str, str]:
        version = {"anthropic-version": VERSION}
        if not key:
            return version
        bearer = self._key_header.lower() == "authorization"
        return {self._key_header: f"Bearer {key}" if bearer else key, **version}

    def read_answer(self, body: bytes, call: ProviderCall) -> Reading:
        return answer.read_answer(body)


class AnthropicAppSide(JSONAppSide):
    name = _NAME
    immaterial = meaning.IMMATERIAL
    headers_passed_on = ("anthropic-*",)
    query_passed_on = ("beta",)
    ping = b'event: ping\ndata: {"type":"ping"}\n\n'

    read = staticmethod(read)
    count = staticmethod(count)
    with_parameters = staticmethod(with_parameters)
    with_output_limit = staticmethod(with_output_limit)
    without_reasoning = staticmethod(without_reasoning)
    repeatable = staticmethod(meaning.repeatable)
    session = staticmethod(meaning.session)
    user = staticmethod(meaning.user)
    usage = staticmethod(usage_map)
    error = staticmethod(error_body)
    answer_text = staticmethod(answer.answer_text)

    def names(self, fields: Mapping[str, msgspec.Raw], text: Collection[str]) -> Iterator[Named]:
        return load_body_fields().names(fields, {*text, "system"})

    def priced(self, needs: RequestNeeds, fields: Mapping[str, msgspec.Raw]) -> Mapping[str, msgspec.Raw]:
        return load_body_fields().priced(needs, fields)

    def headers(self, request_id: str, limits: RateLimits | None, now: float) -> list[tuple[str, str]]:
        return [("request-id", request_id), *as_anthropic(limits, now)]

    def seam(self, first: bytes, operation: OperationSpec, last: bytes = b"", text: str = "") -> MessageSeam:
        return MessageSeam(last or first)

    def event(self, data: bytes) -> bytes:
        if b"\n" in data or b"\r" in data:  # between members, as a provider may write them; here a line would end
            data = data.replace(b"\n", b" ").replace(b"\r", b" ")
        return b"event: %s\ndata: %s\n\n" % (_type(data), data)


def _type(data: bytes) -> bytes:
    """Of an event, whatever the order of its members."""
    found = _TYPE.match(data)
    if found is not None:
        return found[1]
    try:
        event = lenient.decode(data)
    except lenient.NotJSON:
        return b"message"
    kind = event.get("type") if isinstance(event, dict) else None
    return kind.encode(errors="replace").translate(None, b"\r\n") if isinstance(kind, str) else b"message"


@cache
def _translator() -> Translator:
    """Loaded when two formats meet."""
    from meshd.formats.anthropic.conversation.translator import AnthropicTranslator

    return AnthropicTranslator()


ANTHROPIC = Format(
    name=_NAME, provider=AnthropicProviderSide, app=AnthropicAppSide(), translator=_translator, needs_limit=True
)
