"""Where another attempt continues a stream of a response's chunks: its chunks look like the rest of the first
attempt's."""

from __future__ import annotations

from typing import Any

from meshd.formats.gemini.places import cited_in, moved
from meshd.formats.gemini.usage import usage_map
from meshd.formats.gemini.wire import candidates_of, parts_of
from meshd.sdk.provider import StreamEvent, Usage
from meshd.sdk.reading import lenient

_OF_THE_FIRST = ("responseId", "modelVersion", "createTime")


class ChunkSeam:
    """first: the chunk of the app's stream that has its id. text: what the app has got."""

    def __init__(self, first: bytes, text: str = "") -> None:
        chunk = lenient.decode(first)
        told = chunk if isinstance(chunk, dict) else {}
        self._head = {name: told[name] for name in _OF_THE_FIRST if name in told}
        self._text = text
        self._place = 0  # in bytes
        self._cited: dict[str, Any] = {}  # while its text is held

    def hold(self, event: StreamEvent) -> bool:
        chunk = lenient.decode(event.data)
        found = [cited_in(each) for each in candidates_of(chunk)] if isinstance(chunk, dict) else []
        for each in found:
            self._cited |= each
        return any(found)

    def starts_at(self, place: int) -> None:
        self._place = len(self._text[:place].encode(errors="replace"))

    def event(self, event: StreamEvent, text: str, usage: Usage | None) -> bytes | None:
        chunk = lenient.decode(event.data)
        if not isinstance(chunk, dict):
            return None
        chunk |= self._head
        more = bool(event.extra) or event.finish_reason is not None
        for candidate in candidates_of(chunk):
            rest = [part for part in parts_of(candidate) if not isinstance(part.get("text"), str)]
            parts: list[Any] = [*([{"text": text}] if text else ()), *rest]
            candidate["content"] = {"parts": parts, "role": "model"} if parts else {"role": "model"}
            cited = self._citing(cited_in(candidate))
            candidate |= cited
            more = more or bool(cited)
        if isinstance(chunk.get("usageMetadata"), dict) and usage is not None:
            chunk["usageMetadata"] = {**chunk["usageMetadata"], **usage_map(usage)}
        elif not text and not more:
            return None
        return lenient.encode(chunk)

    def text(self, text: str) -> bytes:
        """An event with only this text."""
        candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0, **self._citing({})}
        return lenient.encode({"candidates": [candidate], **self._head})

    def _citing(self, own: dict[str, Any]) -> dict[str, Any]:
        """A candidate's citation fields: its own, and those that were held back."""
        held, self._cited = self._cited, {}
        return moved(held | own, self._place)

    def before(self) -> list[bytes]:
        """There is nothing to open or close."""
        return []
