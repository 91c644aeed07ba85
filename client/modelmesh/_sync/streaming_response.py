# Generated from modelmesh/_async/streaming_response.py by client/sync_twins.py; edit that file.
"""`with_streaming_response`: an answer with its status and headers, whose body is read piece by piece."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from modelmesh._shared.raw_response import Pieces, RawResponse


class StreamingResponse(RawResponse):
    """An answer whose body is read by methods."""

    def __init__(self, *of_the_call: Any) -> None:
        super().__init__(*of_the_call)
        self._closed = False

    def parse(self, *, to: Any = None) -> Any:
        return super().parse(to=to)

    def read(self) -> bytes:
        """All of it, of a stream when it has ended."""
        if self._body is None:
            self._body = self.http_response.fill(b"".join(list(self.iter_bytes())))
        return self._body

    def text(self) -> str:  # type: ignore[override]
        return (self.read()).decode()

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
        pieces = Pieces("", chunk_size)
        if self._body is not None:
            for piece in pieces.of(self._body.decode()):
                yield piece
        else:
            for line in self.iter_lines():
                for piece in pieces.of(f"{line}\n"):
                    yield piece
        for piece in pieces.rest():
            yield piece

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        pieces = Pieces(b"", chunk_size)
        for text in self.iter_text():
            for piece in pieces.of(text.encode()):
                yield piece
        for piece in pieces.rest():
            yield piece

    def close(self) -> None:
        self._stop()


class Managed:
    """A context manager that calls the method when entered."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        self._ask = ask
        self._response: StreamingResponse | None = None

    def __enter__(self) -> StreamingResponse:
        self._response = self._ask()
        return self._response

    def __exit__(self, *error: object) -> None:
        if self._response is not None:
            self._response.close()


class ManagedMethods:
    """A client or a resource whose methods return such managers."""

    def __init__(self, whose: Any) -> None:
        self._whose = whose

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._whose, name)
        if not callable(found):
            return ManagedMethods(found)
        return lambda *args, **kwargs: Managed(lambda: found(*args, **kwargs))
