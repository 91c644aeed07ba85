# Generated from modelmesh/_async/streaming_response.py by client/sync_twins.py; edit that file.
"""`with_streaming_response`: an answer with its status and headers, whose body is read piece by piece."""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

from modelmesh._pieces import Lines, Pieces
from modelmesh._shared.file_answer import to_write
from modelmesh._shared.raw_response import RawResponse


class StreamingResponse(RawResponse):
    """An answer whose body is read with methods: the events of a stream as their text in HTTP, or the bytes of a file,
    as they come."""

    def __init__(self, *of_the_call: Any) -> None:
        super().__init__(*of_the_call)
        self._closed = False
        self._taken = False

    def parse(self, *, to: Any = None) -> Any:
        """As for a raw response; the bytes for a file."""
        if self.is_file:
            self.read()
            return self.content if to is None else super().parse(to=to)
        if self._taken and to is None:
            raise TypeError("the events have been read as bytes: call `parse` instead")
        return super().parse(to=to)

    def read(self) -> bytes:
        """The whole body; for a stream, this waits for its end."""
        if self._body is None:
            self._body = self.http_response.fill(b"".join(list(self._pieces())))
        return self._body

    def text(self) -> str:  # type: ignore[override]
        return (self.read()).decode(errors="replace")

    def json(self) -> Any:
        return json.loads(self.read())

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        pieces = Pieces(b"", chunk_size)
        for data in self._pieces():
            for piece in pieces.of(data):
                yield piece
        for piece in pieces.rest():
            yield piece

    def iter_text(self, chunk_size: int | None = None) -> Iterator[str]:
        pieces = Pieces("", chunk_size)
        for text in self._texts():
            for piece in pieces.of(text):
                yield piece
        for piece in pieces.rest():
            yield piece

    def iter_lines(self) -> Iterator[str]:
        """The body's lines; for a stream, an empty one after each event."""
        lines = Lines()
        for text in self._texts():
            for line in lines.of(text):
                yield line
        for line in lines.rest():
            yield line

    def stream_to_file(self, file: str | os.PathLike[str], *, chunk_size: int | None = None) -> None:
        with to_write(file) as opened:
            for piece in self.iter_bytes(chunk_size):
                opened.write(piece)

    def _texts(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for data in self._pieces():
            yield decoder.decode(data)
        yield decoder.decode(b"", final=True)

    def _pieces(self) -> Iterator[bytes]:
        """The body as it comes."""
        if self._body is not None:
            yield self._body
            return
        self._taken, framing = True, self._framing
        for data in self._read().undecoded():
            yield data if framing is None else framing.event(data)
        if framing is not None and framing.last:
            yield framing.last

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
