"""How a stream is put on the wire for an app that does not ask for events (`alt=sse`): an array of responses.

Owns: the array's brackets and commas, of one stream.
"""

from __future__ import annotations

from collections.abc import Iterable

from meshd.formats.gemini.errors import error_body
from meshd.formats.limit_headers import as_openai
from meshd.sdk.provider import RateLimits
from modelmesh.errors import MeshError


class ChunkArray:
    """See `formats/protocol.py:Framing`."""

    name = "gemini"
    media_type = "application/json; charset=UTF-8"
    ping = b"\r\n"  # white space between the responses

    def __init__(self) -> None:
        self.last = b"[]"
        self._begun = False
        self._failed = False

    def event(self, data: bytes) -> bytes:
        begin = b",\r\n" if self._begun else b"["
        self._begun, self.last = True, b"]"
        return begin + data + (b"]" if self._failed else b"")

    def error(self, error: MeshError) -> bytes:
        return error_body(error)

    def stream_error(self, error: MeshError, first: bytes = b"", last: bytes = b"") -> list[bytes]:
        """The last element of the array."""
        self._failed = True
        return [error_body(error)]

    def remark(self, lines: Iterable[str]) -> bytes:
        return b""

    def headers(self, request_id: str, limits: RateLimits | None, now: float) -> list[tuple[str, str]]:
        return as_openai(limits)  # Google itself has none
