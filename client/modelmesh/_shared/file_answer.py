"""An answer that is a complete file."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from modelmesh._http_view import HttpResponse


def to_write(file: str | os.PathLike[str]) -> BinaryIO:
    return open(file, "wb")


class FileAnswer:
    """A file, with the methods of the OpenAI SDK's. content: its bytes. response: status and headers."""

    def __init__(self, response: HttpResponse) -> None:
        self.response = response

    def __repr__(self) -> str:
        return f"<{type(self).__name__} [{self.content_type}, {len(self.content)} bytes]>"

    @property
    def content(self) -> bytes:
        return self.response.content

    @property
    def content_type(self) -> str:
        return str(self.response.headers["content-type"])

    @property
    def text(self) -> str:
        return self.response.text

    @property
    def encoding(self) -> str:
        return self.response.encoding

    def json(self, **_: Any) -> Any:
        return self.response.json()

    def read(self) -> bytes:
        return self.content

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        return self.response.iter_bytes(chunk_size)

    def iter_text(self, chunk_size: int | None = None) -> Iterator[str]:
        return self.response.iter_text(chunk_size)

    def iter_lines(self) -> Iterator[str]:
        return self.response.iter_lines()

    iter_raw = iter_bytes

    def write_to_file(self, file: str | os.PathLike[str]) -> None:
        with to_write(file) as opened:
            opened.write(self.content)

    def stream_to_file(self, file: str | os.PathLike[str], *, chunk_size: int | None = None) -> None:
        self.write_to_file(file)

    def close(self) -> None:
        self.response.close()

    # As in the SDK, these are awaited before they are iterated over.

    async def aread(self) -> bytes:
        return self.content

    async def aiter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        return self.response.aiter_bytes(chunk_size)

    async def aiter_text(self, chunk_size: int | None = None) -> AsyncIterator[str]:
        return self.response.aiter_text(chunk_size)

    async def aiter_lines(self) -> AsyncIterator[str]:
        return self.response.aiter_lines()

    aiter_raw = aiter_bytes

    async def astream_to_file(self, file: str | os.PathLike[str], *, chunk_size: int | None = None) -> None:
        self.write_to_file(file)

    async def aclose(self) -> None:
        self.close()
