"""An exchange with the daemon as HTTP, for code that reads the HTTP response of the OpenAI SDK's answers.

Owns: status, headers, URL and times under httpx's names. Must never: be sent; there is no HTTP here.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote

from modelmesh._origin import ORIGIN
from modelmesh._pieces import Lines, Pieces

_PRINTABLE: Final = " !\"#$&'()*+,/:;<=>?@[\\]^`{|}~"


class Headers(dict[str, str]):
    """Headers with case-insensitive names."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__({name.lower(): value for name, value in headers.items()})

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)

    def get_list(self, name: str) -> list[str]:
        return [self[name]] if name in self else []

    def multi_items(self) -> list[tuple[str, str]]:
        return list(self.items())


class HttpRequest:
    """The request."""

    def __init__(self, method: str, path: str, headers: Mapping[str, str], content: bytes = b"") -> None:
        self.method = method
        self.url = f"{ORIGIN}{path}"
        self.headers = Headers(headers)
        self.content = content


class HttpResponse:
    """The response, without a body for a stream. close: ends the stream."""

    http_version = "HTTP/1.1"
    encoding = "utf-8"
    is_redirect = False

    def __init__(
        self,
        status_code: int,
        headers: Headers,
        request: HttpRequest,
        body: bytes | None,
        elapsed: float | None = None,
        closed: Callable[[], bool] | None = None,
        close: Callable[[], Any] | None = None,
    ) -> None:
        self.status_code = status_code
        self.headers = headers
        self.request = request
        self._body = body
        self._elapsed = elapsed
        self._closed = closed
        self._close = close

    def __repr__(self) -> str:
        return f"<Response [{self.status_code} {self.reason_phrase}]>"

    @property
    def reason_phrase(self) -> str:
        from http import HTTPStatus

        try:
            return HTTPStatus(self.status_code).phrase
        except ValueError:
            return ""

    @property
    def url(self) -> str:
        return self.request.url

    @property
    def elapsed(self) -> timedelta:
        if self._elapsed is None:
            raise RuntimeError("'.elapsed' is not known for a stream")
        return timedelta(seconds=self._elapsed)

    @property
    def is_success(self) -> bool:
        return 200 <= self.status_code < 300

    @property
    def is_error(self) -> bool:
        return self.status_code >= 400

    @property
    def is_client_error(self) -> bool:
        return 400 <= self.status_code < 500

    @property
    def is_server_error(self) -> bool:
        return self.status_code >= 500

    @property
    def is_closed(self) -> bool:
        return self._closed() if self._closed is not None else True

    @property
    def content(self) -> bytes:
        """The body as it came. Raises TypeError for a stream, which has no body before its end."""
        if self._body is None:
            raise TypeError("a stream has no body of its own: iterate over the stream")
        return self._body

    def fill(self, body: bytes) -> bytes:
        """Set the body of a stream that has been read completely; returns it."""
        self._body = body
        return body

    @property
    def text(self) -> str:
        return self.content.decode(errors="replace")

    def json(self) -> Any:
        return json.loads(self.content)

    def read(self) -> bytes:
        return self.content

    async def aread(self) -> bytes:
        return self.content

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        yield from Pieces(b"", chunk_size).only(self.content)

    def iter_text(self, chunk_size: int | None = None) -> Iterator[str]:
        yield from Pieces("", chunk_size).only(self.text)

    def iter_lines(self) -> Iterator[str]:
        yield from Lines().only(self.text)

    async def aiter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        for piece in self.iter_bytes(chunk_size):
            yield piece

    async def aiter_text(self, chunk_size: int | None = None) -> AsyncIterator[str]:
        for piece in self.iter_text(chunk_size):
            yield piece

    async def aiter_lines(self) -> AsyncIterator[str]:
        for line in self.iter_lines():
            yield line

    iter_raw, aiter_raw = iter_bytes, aiter_bytes

    def raise_for_status(self) -> HttpResponse:
        """Does nothing: errors were raised already."""
        return self

    def close(self) -> None:
        if self._close is not None:
            self._close()

    async def aclose(self) -> None:
        self.close()


def mesh_headers(mesh: Mapping[str, Any], request_id: str) -> dict[str, str]:
    """`x-mesh-model`, `x-mesh-cost`, …: the `mesh` map as headers, lists as their length."""
    headers = {"x-mesh-request-id": request_id}
    for name, value in mesh.items():
        if isinstance(value, list | tuple):
            value = len(value)
        if isinstance(value, str | int | float):
            # Decimals, without an exponent; model names may be in any script.
            text = f"{value:.9f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
            headers[f"x-mesh-{name.replace('_', '-')}"] = quote(text, safe=_PRINTABLE)
    return headers


def response_headers(request_id: str, told: Any = None, content_type: str = "text/event-stream") -> Headers:
    """The headers of an answer, from its head; a stream has none but its type."""
    kind = "application/json" if told is not None else content_type
    headers = told.headers if told is not None else {}
    mesh = mesh_headers(told.mesh if told is not None else {}, request_id)
    return Headers({"content-type": kind, "x-request-id": request_id, **headers, **mesh})


def of_error(error: Any) -> HttpResponse:
    """The HTTP response for an error."""
    headers = {"content-type": "application/json", "x-request-id": error.request_id or ""}
    if error.retry_after is not None:
        headers["retry-after"] = f"{error.retry_after:g}"
    body = json.dumps({"error": error.body or error.to_wire()[1]}, default=str).encode()
    return HttpResponse(error.status_code, Headers(headers), HttpRequest("POST", "/v1", {}), body)
