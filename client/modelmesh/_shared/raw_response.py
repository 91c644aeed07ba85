"""`with_raw_response`: an answer with its status and headers, before it is read.

Owns: the view of one answer as an HTTP response, in the OpenAI SDK's terms.
Must never: send; the client does, and passes the answer.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from modelmesh._connection.pending_call import PendingCall
from modelmesh._http_view import HttpRequest, HttpResponse, response_headers
from modelmesh._shared.file_answer import FileAnswer
from modelmesh._shared.framings import Framing, framing_at
from modelmesh._shared.http_messages import file_type
from modelmesh._shared.stream_reading import Reading
from modelmesh.protocol import RESPONSE, Message


class RawResponse:
    """One answer. `headers` are the provider's and `x-mesh-…`; `parse()` returns what the call itself would have
    returned."""

    def __init__(self, message: Message, call: PendingCall, parse: Callable[[], Any]) -> None:
        self._parse = parse
        self._parsed: Any = None
        self._body = message.body if message.kind == RESPONSE else None
        self._closed = self._body is not None
        self.retries_taken = call.retries
        head = call.head
        request = HttpRequest(head.method, head.path, head.headers, call.body)
        took = time.monotonic() - call.started
        told = message.head if self._body is not None else None
        of_file, framing = file_type(message), framing_at(head.path)
        self._framing: Framing | None = None if of_file else framing
        self.http_response = HttpResponse(
            told.status if told is not None else 200,
            response_headers(call.name, told, of_file or framing.media_type),
            request,
            self._body,
            took,
            lambda: self.is_closed,
            self._stop,
        )
        self.method = head.method
        self.http_version = self.http_response.http_version
        self.status_code = self.http_response.status_code
        self.headers = self.http_response.headers

    def __repr__(self) -> str:
        return f"<{type(self).__name__} [{self.status_code} {self.http_response.reason_phrase}]>"

    @property
    def is_file(self) -> bool:
        """Whether it is a file, which comes in pieces."""
        return self._framing is None

    def filled(self, body: bytes) -> None:
        """Set the body: that of a file that has been read."""
        self._body = self.http_response.fill(body)
        self._closed = True
        self._parse = lambda: FileAnswer(self.http_response)
        self._parsed = None

    def _stop(self) -> None:
        self._closed = True
        if self._body is None:
            self._read().stop()

    @property
    def http_request(self) -> HttpRequest:
        return self.http_response.request

    @property
    def url(self) -> str:
        return self.http_response.url

    @property
    def elapsed(self) -> timedelta:
        """The time until the answer came, or a stream began."""
        return self.http_response.elapsed

    @property
    def is_closed(self) -> bool:
        return self._closed or (isinstance(self._parsed, Reading) and self._parsed.ended)

    @property
    def request_id(self) -> str | None:
        return self.headers.get("x-request-id")  # type: ignore[no-any-return]

    def parse(self, *, to: Any = None) -> Any:
        """The typed object, or the stream. to: `str`, `bytes`, `dict` or a model's class for the result;
        what is not JSON is a text, as in the OpenAI SDK."""
        if to is None:
            return self._read()
        is_json = self.headers["content-type"].partition(";")[0].endswith("json")
        return _read_as(to if is_json or to is bytes else str, self.content)

    def parsed_by(self, read: Callable[[Any], Any]) -> None:
        """`parse()` returns what `read` makes of the result from now on."""
        parse = self._parse
        self._parse = lambda: read(parse())

    def _read(self) -> Any:
        if self._parsed is None:
            self._parsed = self._parse()
        return self._parsed

    @property
    def content(self) -> bytes:
        """The body as it came. Raises TypeError for a stream, which has no body before its end."""
        return self.http_response.content

    @property
    def text(self) -> str:
        return self.http_response.text


def _read_as(kind: Any, body: bytes) -> Any:
    if kind is bytes:
        return body
    if kind is str:
        return body.decode(errors="replace")
    if callable(validate := getattr(kind, "model_validate_json", None)):
        return validate(body)
    return json.loads(body)
