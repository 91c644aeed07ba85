"""`with_streaming_response`: an answer with its status and headers, whose body is read piece by piece."""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

from modelmesh._pieces import Lines, Pieces
from modelmesh._shared.file_answer import to_write
from modelmesh._shared.raw_response import RawResponse


class AsyncStreamingResponse(RawResponse):
    """An answer whose body is read with methods: the events of a stream as their text in HTTP, or the bytes of a file,
    as they come."""

    def __init__(self, *of_the_call: Any) -> None:
        super().__init__(*of_the_call)
        self._closed = False
        self._taken = False

    async def parse(self, *, to: Any = None) -> Any:
        """As for a raw response; the bytes for a file."""
        if self.is_file:
            await self.read()
            return self.content if to is None else super().parse(to=to)
        if self._taken and to is None:
            raise TypeError("the events have been read as bytes: call `parse` instead")
        return super().parse(to=to)

    async def read(self) -> bytes:
        """The whole body; for a stream, this waits for its end."""
        if self._body is None:
            self._body = self.http_response.fill(b"".join([piece async for piece in self._pieces()]))
        return self._body

    async def text(self) -> str:  # type: ignore[override]
        return (await self.read()).decode(errors="replace")

    async def json(self) -> Any:
        return json.loads(await self.read())

    async def iter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        pieces = Pieces(b"", chunk_size)
        async for data in self._pieces():
            for piece in pieces.of(data):
                yield piece
        for piece in pieces.rest():
            yield piece

    async def iter_text(self, chunk_size: int | None = None) -> AsyncIterator[str]:
        pieces = Pieces("", chunk_size)
        async for text in self._texts():
            for piece in pieces.of(text):
                yield piece
        for piece in pieces.rest():
            yield piece

    async def iter_lines(self) -> AsyncIterator[str]:
        """The body's lines; for a stream, an empty one after each event."""
        lines = Lines()
        async for text in self._texts():
            for line in lines.of(text):
                yield line
        for line in lines.rest():
            yield line

    async def stream_to_file(self, file: str | os.PathLike[str], *, chunk_size: int | None = None) -> None:
        with to_write(file) as opened:
            async for piece in self.iter_bytes(chunk_size):
                opened.write(piece)

    async def _texts(self) -> AsyncIterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        async for data in self._pieces():
            yield decoder.decode(data)
        yield decoder.decode(b"", final=True)

    async def _pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes."""
        if self._body is not None:
            yield self._body
            return
        self._taken, framing = True, self._framing
        async for data in self._read().undecoded():
            yield data if framing is None else framing.event(data)
        if framing is not None and framing.last:
            yield framing.last

    async def close(self) -> None:
        self._stop()


class AsyncManaged:
    """A context manager that calls the method when entered."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        self._ask = ask
        self._response: AsyncStreamingResponse | None = None

    async def __aenter__(self) -> AsyncStreamingResponse:
        self._response = await self._ask()
        return self._response

    async def __aexit__(self, *error: object) -> None:
        if self._response is not None:
            await self._response.close()


class AsyncManagedMethods:
    """A client or a resource whose methods return such managers."""

    def __init__(self, whose: Any) -> None:
        self._whose = whose

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._whose, name)
        if not callable(found):
            return AsyncManagedMethods(found)
        return lambda *args, **kwargs: AsyncManaged(lambda: found(*args, **kwargs))
