"""The Responses API behind the protocol of all formats."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec

from meshd.core.needs import Named
from meshd.formats.errors.response_failures import failure_from_no_answer
from meshd.formats.headers import passed_on
from meshd.formats.keeping import Keeping
from meshd.formats.limit_headers import as_openai
from meshd.formats.openai.answer import Unanswered
from meshd.formats.openai.body.parameters import with_parameters
from meshd.formats.openai.models import read_listing, read_model
from meshd.formats.openai.wire import Broken
from meshd.formats.protocol import EVENT_STREAM, Address, Counting, Format, Opened, PassedOn, Reading, Translator
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
from meshd.formats.responses.wire import Told, type_of
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

_NAME = "responses"
_BASE = "/v1/"  # of an app's paths; a provider's are relative to its base URL


class ResponsesProviderSide:
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
            return read_answer(body)
        except Broken:
            raise failure_from_no_answer(address.url, body) from None
        except Told as told:
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
    ) -> EventReader:
        return EventReader(body, **watched(call, address, opened))

    def assembling(self) -> Assembly:
        return Assembly()

    def read_models(self, body: bytes) -> list[ModelListing]:
        return read_listing(body)

    def read_model(self, body: bytes) -> ModelListing | None:
        return read_model(body)


class ResponsesAppSide:
    name = _NAME
    media_type = EVENT_STREAM
    immaterial = meaning.IMMATERIAL
    last = b""
    ping = b": keepalive\n\n"
    keeping: Keeping | None = stored
    counting: Counting | None = Counting("input_tokens", stored.input_tokens)

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
    priced = staticmethod(known_items.priced)
    stream_error = staticmethod(stream_error)

    def passed_on(self, headers: Mapping[str, str], query: str) -> PassedOn:
        return passed_on(headers, query, names=("openai-beta",))

    def names(self, fields: Mapping[str, msgspec.Raw], text: Collection[str]) -> Iterator[Named]:
        return known_items.load_item_fields().names(fields, {*text, "input", "instructions"})

    def headers(self, request_id: str, limits: RateLimits | None, now: float) -> list[tuple[str, str]]:
        return as_openai(limits)

    def seam(self, first: bytes, operation: OperationSpec, last: bytes = b"", text: str = "") -> EventSeam:
        return EventSeam(first, last, text)

    def usage(self, usage: Usage) -> dict[str, Any]:
        return usage_map(usage)

    def error(self, error: MeshError) -> bytes:
        return lenient.plain({"error": error.to_wire()[1]})

    def event(self, data: bytes) -> bytes:
        kind = type_of(data)
        lines = b"\n".join(b"data: " + line for line in data.splitlines())
        return (b"event: " + kind + b"\n" if kind else b"") + lines + b"\n\n"


def _translator() -> Translator:
    """Loaded when two formats meet."""
    from meshd.formats.responses.conversation.translator import ResponsesTranslator

    return ResponsesTranslator()


RESPONSES = Format(_NAME, ResponsesProviderSide, ResponsesAppSide(), _translator)
