"""Answers that are passed on as bytes, whatever they contain. The mesh's own errors are in OpenAI's form."""

from __future__ import annotations

from collections.abc import Iterable

from meshd.formats.openai.format import OPENAI
from meshd.sdk.provider import RateLimits
from modelmesh.errors import MeshError


class PlainFraming:
    """See `formats/protocol.py:Framing`."""

    name = "plain"
    media_type = "application/octet-stream"
    last = b""
    ping = b""

    def error(self, error: MeshError) -> bytes:
        return OPENAI.app.error(error)

    def event(self, data: bytes) -> bytes:
        return data

    def remark(self, lines: Iterable[str]) -> bytes:
        return b""

    def headers(self, request_id: str, limits: RateLimits | None, now: float) -> list[tuple[str, str]]:
        return OPENAI.app.headers(request_id, limits, now)

    def stream_error(self, error: MeshError, first: bytes = b"", last: bytes = b"") -> list[bytes]:
        return []


PLAIN = PlainFraming()
