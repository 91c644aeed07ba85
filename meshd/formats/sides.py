"""What both sides of a format (`protocol.py`) do in most APIs: those with JSON bodies and event streams.

The defaults are those of OpenAI's API, which most servers copy.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

from meshd.formats.body import Body
from meshd.formats.errors.not_answers import NotAnAnswer
from meshd.formats.headers import passed_on
from meshd.formats.keeping import Keeping
from meshd.formats.limit_headers import as_openai
from meshd.formats.model_pages import after_last
from meshd.formats.protocol import EVENT_STREAM, Address, Opened, PassedOn, Reading, StreamReader
from meshd.formats.sse import comment
from meshd.formats.stream.event_reader import watched
from meshd.sdk.provider import OperationSpec, ProviderCall, ProviderSettings, RateLimits
from meshd.sdk.reading import lenient
from modelmesh.errors import MeshError

_BASE = "/v1/"  # of an app's paths; a provider's are relative to its base URL


class JSONProviderSide(ABC):
    """One provider, with its quirks: `models_path`, `api_key_header`, `api_key_scheme`. reader: the class that reads
    its streams."""

    name: ClassVar[str]
    usual_models_path: ClassVar[str] = "models"
    usual_key_header: ClassVar[str] = ""  # "": `Authorization`, as a bearer token
    reader: ClassVar[Callable[..., StreamReader]]
    more_models = staticmethod(after_last("after"))
    by_model: bool = False
    events_type: str = "text/event-stream"

    def __init__(self, settings: ProviderSettings) -> None:
        quirks = settings.quirks
        self.models_path: str = quirks.get("models_path", self.usual_models_path)
        self._key_header: str = quirks.get("api_key_header") or self.usual_key_header
        self._key_scheme: str = quirks.get("api_key_scheme") or "Bearer"

    def path(self, operation: OperationSpec, model: str, *, stream: bool) -> str | None:
        path = operation.paths.get(self.name)
        return None if path is None else path.removeprefix(_BASE)

    def headers(self, key: str) -> Mapping[str, str]:
        if not key:
            return {}
        return {self._key_header: key} if self._key_header else {"Authorization": f"{self._key_scheme} {key}"}

    def stream(self, body: Body, call: ProviderCall, address: Address, opened: Opened) -> StreamReader:
        return self.reader(body, **watched(call, address, opened))

    def read(self, body: bytes, call: ProviderCall, address: Address) -> Reading:
        try:
            return self.read_answer(body, call)
        except NotAnAnswer as why:
            raise why.failure(body, *address) from None

    @abstractmethod
    def read_answer(self, body: bytes, call: ProviderCall) -> Reading:
        """Raises NotAnAnswer."""


class JSONAppSide:
    """headers_passed_on, query_passed_on: see `formats/headers.py:passed_on`."""

    media_type = EVENT_STREAM
    last = b""
    ping = b": keepalive\n\n"
    keeping: Keeping | None = None
    headers_passed_on: ClassVar[tuple[str, ...]] = ()
    query_passed_on: ClassVar[tuple[str, ...]] = ()

    remark = staticmethod(comment)

    def passed_on(self, headers: Mapping[str, str], query: str) -> PassedOn:
        return passed_on(headers, query, names=self.headers_passed_on, fields=self.query_passed_on)

    def headers(self, request_id: str, limits: RateLimits | None, now: float) -> list[tuple[str, str]]:
        return as_openai(limits)

    def counted(self, tokens: int) -> bytes:
        return lenient.encode({"input_tokens": tokens})

    def error(self, error: MeshError) -> bytes:
        return lenient.plain({"error": error.to_wire()[1]})

    def stream_error(self, error: MeshError, first: bytes = b"", last: bytes = b"") -> list[bytes]:
        return [self.error(error)]
