"""Where another attempt continues a stream of a response's chunks: they look like the rest of the first one's."""

from __future__ import annotations

from typing import Any

from meshd.formats.gemini.usage import usage_map
from meshd.formats.gemini.wire import candidates_of, parts_of
from meshd.sdk.provider import StreamEvent, Usage
from meshd.sdk.reading import lenient

_OF_THE_FIRST = ("responseId", "modelVersion", "createTime")


class ChunkSeam:
    """first: the chunk of the app's stream that has its id."""

    def __init__(self, first: bytes) -> None:
        chunk = lenient.decode(first)
        told = chunk if isinstance(chunk, dict) else {}
        self._head = {name: told[name] for name in _OF_THE_FIRST if name in told}

    def event(self, event: StreamEvent, text: str, usage: Usage | None) -> bytes | None:
        chunk = lenient.decode(event.data)
        if not isinstance(chunk, dict):
            return None
        chunk |= self._head
        for candidate in candidates_of(chunk):
            rest = [part for part in parts_of(candidate) if not isinstance(part.get("text"), str)]
            parts: list[Any] = [*([{"text": text}] if text else ()), *rest]
            candidate["content"] = {"parts": parts, "role": "model"} if parts else {"role": "model"}
        if isinstance(chunk.get("usageMetadata"), dict) and usage is not None:
            chunk["usageMetadata"] = {**chunk["usageMetadata"], **usage_map(usage)}
        elif not text and not event.extra and event.finish_reason is None:
            return None
        return lenient.encode(chunk)

    def text(self, text: str) -> bytes:
        """An event with only this text."""
        candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
        return lenient.encode({"candidates": [candidate], **self._head})

    def before(self) -> list[bytes]:
        """There is nothing to open or close."""
        return []
