"""An answer that is a file, complete."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO


def to_write(file: str | os.PathLike[str]) -> BinaryIO:
    return open(file, "wb")


class FileAnswer:
    """content: its bytes."""

    def __init__(self, content: bytes, content_type: str) -> None:
        self.content = content
        self.content_type = content_type

    def __repr__(self) -> str:
        return f"<{type(self).__name__} [{self.content_type}, {len(self.content)} bytes]>"

    def read(self) -> bytes:
        return self.content

    async def aread(self) -> bytes:
        return self.content

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        size = chunk_size or max(len(self.content), 1)
        for at in range(0, len(self.content), size):
            yield self.content[at : at + size]

    def write_to_file(self, file: str | os.PathLike[str]) -> None:
        with to_write(file) as opened:
            opened.write(self.content)

    stream_to_file = write_to_file
