"""How Ollama's answers are put on the wire: JSON lines, and errors as `{"error": "…"}`."""

from __future__ import annotations

from collections.abc import Iterable

from meshd.formats.limit_headers import as_openai
from meshd.sdk.provider import RateLimits
from meshd.sdk.reading import lenient
from modelmesh.errors import MeshError


class OllamaFraming:
    """See `formats/protocol.py:Framing`."""

    name = "ollama"
    media_type = "application/x-ndjson"
    last = b""
    ping = b" "  # white space before the next line, as clients refuse an empty one

    def error(self, error: MeshError) -> bytes:
        return lenient.plain({"error": error.message})

    def event(self, data: bytes) -> bytes:
        return data + b"\n"

    def remark(self, lines: Iterable[str]) -> bytes:
        return b""  # each line is an answer

    def headers(self, request_id: str, limits: RateLimits | None, now: float) -> list[tuple[str, str]]:
        return as_openai(limits)  # Ollama itself has none

    def stream_error(self, error: MeshError, first: bytes = b"", last: bytes = b"") -> list[bytes]:
        return [self.error(error)]


OLLAMA = OllamaFraming()
