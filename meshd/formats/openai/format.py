"""OpenAI's format behind the protocol of all formats."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec

from meshd.core.needs import Named, RequestNeeds
from meshd.formats.errors.response_failures import failure_from_no_answer
from meshd.formats.headers import passed_on
from meshd.formats.keeping import Keeping
from meshd.formats.limit_headers import as_openai
from meshd.formats.openai import wire
from meshd.formats.openai.answer import Unanswered, answer_text, read_answer
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
from meshd.formats.protocol import (
    EVENT_STREAM,
    Address,
    Counting,
    Format,
    Opened,
    PassedOn,
    Reading,
    StreamReader,
    Translator,
)
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

_NAME = "openai"
_BASE = "/v1/"  # of an app's paths; a provider's are relative to its base URL


class OpenAIProviderSide:
    """One provider, with its quirks."""

    def __init__(self, settings: ProviderSettings) -> None:
        quirks = settings.quirks
        self.models_path: str = quirks.get("models_path", "models")
        self._key_header: str | None = quirks.get("api_key_header")
        self._requests = RequestWriter(settings)

    def path(self, operation: OperationSpec, model: str, *, stream: bool) -> str | None:
        path = operation.paths.get(_NAME)
        return None if path is None else path.removeprefix(_BASE)

    def headers(self, key: str) -> Mapping[str, str]:
        if not key:
            return {}
        return {self._key_header: key} if self._key_header else {"Authorization": f"Bearer {key}"}

    def write(self, call: ProviderCall) -> bytes:
        return self._requests.write(call)

    def read(self, body: bytes, call: ProviderCall, address: Address) -> Reading:
        try:
            if call.operation.answer_to(call.fields) == "text":
                return read_text(body)
            return read_answer(body, call.operation, empty=asks_for_no_vectors(call))
        except wire.Broken:
            raise failure_from_no_answer(address.url, body) from None
        except wire.Told as told:
            raise told.failure() from None
        except Unanswered as why:
            raise ProviderFailure(
                FailureKind.BAD_ANSWER,
                f"{address.host} answered {why}",
                status=200,
                body=body[:4096],
                usage=why.usage,
            ) from None

    def stream(
        self, body: UpstreamBody | BodyInHand, call: ProviderCall, address: Address, opened: Opened
    ) -> StreamReader:
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

    def assembling(self) -> Assembly:
        return Assembly()

    def read_models(self, body: bytes) -> list[ModelListing]:
        return read_listing(body)

    def read_model(self, body: bytes) -> ModelListing | None:
        return read_model(body)


class OpenAIAppSide:
    name = _NAME
    media_type = EVENT_STREAM
    immaterial = meaning.IMMATERIAL
    last = b"data: [DONE]\n\n"
    ping = b": keepalive\n\n"
    keeping: Keeping | None = None
    counting: Counting | None = None

    read = staticmethod(read)
    count = staticmethod(count)
    with_parameters = staticmethod(with_parameters)
    with_output_limit = staticmethod(with_output_limit)
    without_reasoning = staticmethod(without_reasoning)
    repeatable = staticmethod(meaning.repeatable)
    session = staticmethod(meaning.session)
    user = staticmethod(meaning.user)
    remark = staticmethod(comment)
    answer_text = staticmethod(answer_text)

    def passed_on(self, headers: Mapping[str, str], query: str) -> PassedOn:
        return passed_on(headers, query, names=("openai-beta",))

    def names(self, fields: Mapping[str, msgspec.Raw], text: Collection[str]) -> Iterator[Named]:
        return load_body_fields().names(fields, text)

    def priced(self, needs: RequestNeeds, fields: Mapping[str, msgspec.Raw]) -> Mapping[str, msgspec.Raw]:
        return load_body_fields().priced(needs, fields)

    def headers(self, request_id: str, limits: RateLimits | None, now: float) -> list[tuple[str, str]]:
        return as_openai(limits)

    def seam(self, first: bytes, operation: OperationSpec, last: bytes = b"", text: str = "") -> ChunkSeam:
        return ChunkSeam(last or first, operation)  # Azure's first chunk has no id

    def usage(self, usage: Usage) -> dict[str, Any]:
        return usage_map(usage)

    def error(self, error: MeshError) -> bytes:
        return lenient.plain({"error": error.to_wire()[1]})

    def event(self, data: bytes) -> bytes:
        return b"data: %b\n\n" % data

    def stream_error(self, error: MeshError, first: bytes = b"", last: bytes = b"") -> list[bytes]:
        return [self.error(error)]


def _translator() -> Translator:
    """Loaded when two formats meet: most daemons never need it."""
    from meshd.formats.openai.conversation.translator import OpenAITranslator

    return OpenAITranslator()


OPENAI = Format(_NAME, OpenAIProviderSide, OpenAIAppSide(), _translator, late_instructions=False)
