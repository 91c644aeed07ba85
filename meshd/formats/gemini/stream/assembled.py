"""Assembles a stream's chunks into the unary answer that was asked for.

Owns: joining the texts of parts. Must never: judge whether the stream was whole (`event_stream.py`).
"""

from __future__ import annotations

from typing import Any

from meshd.formats.gemini.wire import candidates_of, parts_of
from meshd.formats.openai.wire import index_of
from meshd.sdk.reading import lenient

_PLAIN = frozenset({"text", "thought"})


class Assembly:
    """`add` every chunk, then `answer`."""

    def __init__(self) -> None:
        self._response: dict[str, Any] = {}
        self._candidates: dict[int, dict[str, Any]] = {}
        self._parts: dict[int, list[dict[str, Any]]] = {}
        self._texts: dict[int, list[str]] = {}  # of the last part, joined when another begins

    def add(self, data: bytes) -> None:
        chunk = lenient.decode(data)
        if not isinstance(chunk, dict):
            return
        self._response |= {name: value for name, value in chunk.items() if name != "candidates" and value is not None}
        for position, candidate in enumerate(candidates_of(chunk)):
            index = index_of(candidate, position)
            told = self._candidates.setdefault(index, {})
            told |= {name: value for name, value in candidate.items() if name != "content" and value is not None}
            for part in parts_of(candidate):
                self._add(index, part)

    def _add(self, index: int, part: dict[str, Any]) -> None:
        parts, texts = self._parts.setdefault(index, []), self._texts.setdefault(index, [])
        last = parts[-1] if parts else None
        plain = part.keys() <= _PLAIN
        if last is not None and texts and plain and bool(part.get("thought")) == bool(last.get("thought")):
            texts.append(_text(part))
            return
        self._join(index)
        parts.append(dict(part))
        if plain:
            texts.append(_text(part))

    def _join(self, index: int) -> None:
        texts = self._texts[index]
        if texts:
            self._parts[index][-1]["text"] = "".join(texts)
            texts.clear()

    def answer(self) -> bytes:
        candidates = []
        for index in sorted(self._candidates):
            parts = self._parts.get(index, [])
            if parts:
                self._join(index)
            content = {"parts": parts, "role": "model"} if parts else {"role": "model"}
            candidates.append({"content": content, **self._candidates[index], "index": index})
        return lenient.encode({"candidates": candidates, **self._response} if candidates else self._response)


def _text(part: dict[str, Any]) -> str:
    text = part.get("text")
    return text if isinstance(text, str) else ""
