"""`with_raw_response` and `with_streaming_response`: an answer with its status and headers, before it is read.

Owns: the view of one answer as an HTTP response, in the OpenAI SDK's terms.
Must never: send; the client does, and passes the answer.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from modelmesh._absent import Offers
from modelmesh._call import Call
from modelmesh._http_view import Headers, HttpRequest, HttpResponse
from modelmesh.protocol import RESPONSE, Message

if TYPE_CHECKING:
    from modelmesh._base_client import Operation


class RawResponse:
    """One answer. `headers` are the provider's and `x-mesh-…`; `parse()` returns what the call itself would have
    returned."""

    def __init__(self, message: Message, call: Call, operation: Operation, parse: Callable[[], Any]) -> None:
        self._parse = parse
        self._parsed: Any = None
        self._body = message.body if message.kind == RESPONSE else None
        self._closed = self._body is not None
        self.retries_taken = operation.retries
        head = call.head
        request = HttpRequest(head.method, head.path, head.headers, call.body)
        took = time.monotonic() - operation.started
        told = message.head if self._body is not None else None
        self.http_response = HttpResponse(
            told.status if told is not None else 200,
            response_headers(call.name, told),
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
        return self._closed or getattr(self._parsed, "_ended", False)

    @property
    def request_id(self) -> str | None:
        return self.headers.get("x-request-id")  # type: ignore[no-any-return]

    def parse(self, *, to: Any = None) -> Any:
        """The typed object, or the stream. to: `str`, `bytes`, `dict` or a model's class for the result."""
        return self._read() if to is None else _read_as(to, self.content)

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


def response_headers(request_id: str, told: Any = None) -> Headers:
    """The headers of an answer by its head, or of a stream, which has none."""
    from modelmesh._openai_transport import _mesh_headers

    kind = "application/json" if told is not None else "text/event-stream"
    headers = told.headers if told is not None else {}
    mesh = _mesh_headers(told.mesh if told is not None else {}, request_id)
    return Headers({"content-type": kind, "x-request-id": request_id, **headers, **mesh})


def _read_as(kind: Any, body: bytes) -> Any:
    if kind is bytes:
        return body
    if kind is str:
        return body.decode()
    if callable(validate := getattr(kind, "model_validate_json", None)):
        return validate(body)
    return json.loads(body)


class _Pieces:
    """A body in pieces of one size, the last one shorter; without a size, as it comes."""

    def __init__(self, empty: Any, size: int | None) -> None:
        self._left = empty
        self._size = size

    def of(self, more: Any) -> Iterator[Any]:
        if self._size is None:
            yield more
            return
        self._left += more
        while len(self._left) >= self._size:
            piece, self._left = self._left[: self._size], self._left[self._size :]
            yield piece

    def rest(self) -> Iterator[Any]:
        if self._left:
            yield self._left


class StreamingResponse(RawResponse):
    """The same, with the body read by methods."""

    def __init__(self, *of_the_call: Any) -> None:
        super().__init__(*of_the_call)
        self._closed = False

    def read(self) -> bytes:
        """All of it, of a stream when it has ended."""
        if self._body is None:
            self._body = self.http_response.fill(b"".join(self.iter_bytes()))
        return self._body

    def text(self) -> str:  # type: ignore[override]
        return self.read().decode()

    def json(self) -> Any:
        return json.loads(self.read())

    def iter_lines(self) -> Iterator[str]:
        """The body's lines, or a stream's events as in HTTP."""
        if self._body is not None:
            yield from self._body.decode().splitlines()
            return
        for chunk in self.parse():
            yield f"data: {chunk.to_json(indent=None)}"
            yield ""
        yield "data: [DONE]"
        yield ""

    def iter_text(self, chunk_size: int | None = None) -> Iterator[str]:
        pieces = _Pieces("", chunk_size)
        if self._body is not None:
            yield from pieces.of(self._body.decode())
        else:
            for line in self.iter_lines():
                yield from pieces.of(f"{line}\n")
        yield from pieces.rest()

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        pieces = _Pieces(b"", chunk_size)
        for text in self.iter_text():
            yield from pieces.of(text.encode())
        yield from pieces.rest()

    def close(self) -> None:
        self._stop()


class AsyncStreamingResponse(RawResponse):
    """The same for asyncio."""

    def __init__(self, *of_the_call: Any) -> None:
        super().__init__(*of_the_call)
        self._closed = False

    async def parse(self, *, to: Any = None) -> Any:
        return super().parse(to=to)

    async def read(self) -> bytes:
        """All of it, of a stream when it has ended."""
        if self._body is None:
            self._body = self.http_response.fill(b"".join([piece async for piece in self.iter_bytes()]))
        return self._body

    async def text(self) -> str:  # type: ignore[override]
        return (await self.read()).decode()

    async def json(self) -> Any:
        return json.loads(await self.read())

    async def iter_lines(self) -> AsyncIterator[str]:
        if self._body is not None:
            for line in self._body.decode().splitlines():
                yield line
            return
        async for chunk in await self.parse():
            yield f"data: {chunk.to_json(indent=None)}"
            yield ""
        yield "data: [DONE]"
        yield ""

    async def iter_text(self, chunk_size: int | None = None) -> AsyncIterator[str]:
        pieces = _Pieces("", chunk_size)
        if self._body is not None:
            for piece in pieces.of(self._body.decode()):
                yield piece
        else:
            async for line in self.iter_lines():
                for piece in pieces.of(f"{line}\n"):
                    yield piece
        for piece in pieces.rest():
            yield piece

    async def iter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        pieces = _Pieces(b"", chunk_size)
        async for text in self.iter_text():
            for piece in pieces.of(text.encode()):
                yield piece
        for piece in pieces.rest():
            yield piece

    async def close(self) -> None:
        self._stop()


class _Managed:
    """A context manager that calls the method when entered."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        self._ask = ask
        self._response: Any = None

    def __enter__(self) -> Any:
        self._response = self._ask()
        return self._response

    def __exit__(self, *error: object) -> None:
        self._response.close()

    async def __aenter__(self) -> Any:
        self._response = await self._ask()
        return self._response

    async def __aexit__(self, *error: object) -> None:
        await self._response.close()


class _Methods:
    """A resource whose methods return such managers."""

    def __init__(self, resource: Any) -> None:
        self._resource = resource

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._resource, name)
        if not callable(found):
            return _Methods(found)
        return lambda *args, **kwargs: _Managed(lambda: found(*args, **kwargs))


class Answers(Offers):
    """Access to a resource's raw answers."""

    _client: Any

    @property
    def with_raw_response(self) -> Any:
        """The same methods, returning answers with headers; `.parse()` gives the object."""
        return type(self)(self._client._answering(RawResponse))  # type: ignore[call-arg]

    @property
    def with_streaming_response(self) -> Any:
        """The same methods as context managers over an answer that is not read yet."""
        client = self._client
        kind = AsyncStreamingResponse if client._asynchronous else StreamingResponse
        return _Methods(type(self)(client._answering(kind)))  # type: ignore[call-arg]


class ClientAnswers(Offers):
    """The same for a client, for all its resources."""

    @property
    def with_raw_response(self) -> Any:
        return self._answering(RawResponse)  # type: ignore[attr-defined]

    @property
    def with_streaming_response(self) -> Any:
        kind = AsyncStreamingResponse if self._asynchronous else StreamingResponse  # type: ignore[attr-defined]
        return _Methods(self._answering(kind))  # type: ignore[attr-defined]
