"""`with_streaming_response`: an answer with its status and headers, whose body is read piece by piece."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from modelmesh._shared.raw_response import Pieces, RawResponse


class AsyncStreamingResponse(RawResponse):
    """An answer whose body is read by methods."""

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
        """The body's lines, or a stream's events as in HTTP."""
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
        pieces = Pieces("", chunk_size)
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
        pieces = Pieces(b"", chunk_size)
        async for text in self.iter_text():
            for piece in pieces.of(text.encode()):
                yield piece
        for piece in pieces.rest():
            yield piece

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
