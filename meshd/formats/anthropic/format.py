"""Anthropic's Messages API behind the protocol of all formats."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec

from meshd.core.needs import Named, RequestNeeds
from meshd.formats.anthropic import answer, wire
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
from meshd.formats.errors.response_failures import failure_from_error_object, failure_from_no_answer
from meshd.formats.headers import passed_on
from meshd.formats.keeping import Keeping
from meshd.formats.limit_headers import as_anthropic
from meshd.formats.openai.body.known_fields import load_body_fields
from meshd.formats.openai.body.parameters import with_parameters
from meshd.formats.openai.wire import Broken
from meshd.formats.protocol import EVENT_STREAM, Address, Counting, Format, Opened, PassedOn, Reading, Translator
from meshd.formats.sse import comment
from meshd.formats.stream.event_reader import watched
from meshd.net.http import BodyInHand, UpstreamBody
from meshd.sdk.provider import (
    FailureKind,
    ModelListing,
    OperationSpec,
    ProviderCall,
    ProviderFailure,
    ProviderSettings,
    RateLimits,
    Usage,
)
from meshd.sdk.reading import lenient
from modelmesh.errors import MeshError

_NAME = "anthropic"
_BASE = "/v1/"  # of an app's paths; a provider's are relative to its base URL
VERSION = "2023-06-01"
_TYPE = re.compile(rb'\s*\{\s*"type"\s*:\s*"([a-z_]+)"')
_PING = b'{"type":"ping"}'


class AnthropicProviderSide:
    """One provider, with its quirks: those of `request.py`, `api_key_header`, `models_path`."""

    def __init__(self, settings: ProviderSettings) -> None:
        quirks = settings.quirks
        self.models_path: str = quirks.get("models_path", "models?limit=1000")
        self._key_header: str = quirks.get("api_key_header", "x-api-key")
        self._requests = RequestWriter(settings)

    def path(self, operation: OperationSpec, model: str, *, stream: bool) -> str | None:
        path = operation.paths.get(_NAME)
        return None if path is None else path.removeprefix(_BASE)

    def headers(self, key: str) -> Mapping[str, str]:
        version = {"anthropic-version": VERSION}
        if not key:
            return version
        bearer = self._key_header.lower() == "authorization"
        return {self._key_header: f"Bearer {key}" if bearer else key, **version}

    def write(self, call: ProviderCall) -> bytes:
        return self._requests.write(call)

    def read(self, body: bytes, call: ProviderCall, address: Address) -> Reading:
        try:
            return answer.read_answer(body)
        except Broken:
            raise failure_from_no_answer(address.url, body) from None
        except wire.Told as told:
            raise failure_from_error_object(told.error, told.usage, told.said) from None
        except answer.Unanswered as why:
            message = f"{address.host} answered {why}"
            raise ProviderFailure(
                FailureKind.BAD_ANSWER, message, status=200, body=body[:4096], usage=why.usage
            ) from None

    def stream(
        self, body: UpstreamBody | BodyInHand, call: ProviderCall, address: Address, opened: Opened
    ) -> EventReader:
        return EventReader(body, **watched(call, address, opened))

    def assembling(self) -> Assembly:
        return Assembly()

    def read_models(self, body: bytes) -> list[ModelListing]:
        return read_listing(body)

    def read_model(self, body: bytes) -> ModelListing | None:
        return read_model(body)


class AnthropicAppSide:
    name = _NAME
    media_type = EVENT_STREAM
    immaterial = meaning.IMMATERIAL
    last = b""
    ping = b"event: ping\ndata: " + _PING + b"\n\n"
    keeping: Keeping | None = None
    counting: Counting | None = Counting("count_tokens", lambda count: lenient.encode({"input_tokens": count}))

    read = staticmethod(read)
    count = staticmethod(count)
    with_parameters = staticmethod(with_parameters)
    with_output_limit = staticmethod(with_output_limit)
    without_reasoning = staticmethod(without_reasoning)
    repeatable = staticmethod(meaning.repeatable)
    session = staticmethod(meaning.session)
    user = staticmethod(meaning.user)
    remark = staticmethod(comment)
    answer_text = staticmethod(answer.answer_text)

    def passed_on(self, headers: Mapping[str, str], query: str) -> PassedOn:
        return passed_on(headers, query, names=("anthropic-*",), fields=("beta",))

    def names(self, fields: Mapping[str, msgspec.Raw], text: Collection[str]) -> Iterator[Named]:
        return load_body_fields().names(fields, {*text, "system"})

    def priced(self, needs: RequestNeeds, fields: Mapping[str, msgspec.Raw]) -> Mapping[str, msgspec.Raw]:
        return load_body_fields().priced(needs, fields)

    def headers(self, request_id: str, limits: RateLimits | None, now: float) -> list[tuple[str, str]]:
        return [("request-id", request_id), *as_anthropic(limits, now)]

    def seam(self, first: bytes, operation: OperationSpec, last: bytes = b"", text: str = "") -> MessageSeam:
        return MessageSeam(last or first)

    def usage(self, usage: Usage) -> dict[str, Any]:
        return usage_map(usage)

    def event(self, data: bytes) -> bytes:
        if b"\n" in data or b"\r" in data:  # between members, as a provider may write them; here a line would end
            data = data.replace(b"\n", b" ").replace(b"\r", b" ")
        return b"event: %s\ndata: %s\n\n" % (_type(data), data)

    def error(self, error: MeshError) -> bytes:
        return error_body(error)

    def stream_error(self, error: MeshError, first: bytes = b"", last: bytes = b"") -> list[bytes]:
        return [error_body(error)]


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


def _translator() -> Translator:
    """Loaded when two formats meet."""
    from meshd.formats.anthropic.conversation.translator import AnthropicTranslator

    return AnthropicTranslator()


ANTHROPIC = Format(_NAME, AnthropicProviderSide, AnthropicAppSide(), _translator, needs_limit=True)
