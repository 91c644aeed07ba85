"""Where another attempt continues a stream of chunks: its chunks look like the rest of the first attempt's."""

from __future__ import annotations

from typing import Any

from meshd.formats.openai.usage import usage_map
from meshd.formats.openai.wire import choices_of
from meshd.sdk.provider import OperationSpec, StreamEvent, Usage
from meshd.sdk.reading import lenient

_IDENTITY = ("id", "created", "model", "object", "system_fingerprint", "service_tier")
_MORE = ("tool_calls", "function_call", "refusal", "audio", "annotations")
_PLACES = ("start_index", "end_index")


class ChunkSeam:
    """first: the chunk with the stream's id."""

    def __init__(self, first: bytes, operation: OperationSpec) -> None:
        said = _object(first)
        self._identity = {name: said[name] for name in _IDENTITY if name in said}
        self._completion = not operation.conversation
        self._place = 0
        self._cited: list[Any] = []  # while its text is held

    def hold(self, event: StreamEvent) -> bool:
        cited = [each for delta in _deltas(_object(event.data)) for each in _annotations(delta)]
        self._cited += cited
        return bool(cited)

    def starts_at(self, place: int) -> None:
        self._place = place

    def event(self, event: StreamEvent, text: str, usage: Usage | None) -> bytes | None:
        """text: instead of the event's own. usage: of the whole stream, where the event reports any. None if there is
        nothing for the app in it: a role, a preface; its stream has begun already."""
        chunk = _object(event.data)
        self._cite(chunk)
        more = event.extra or event.finish_reason is not None or _is_more_than_text(chunk)
        if not text and not more and (chunk.get("choices") or event.usage is None):
            return None
        chunk.update(self._identity)
        if isinstance(chunk.get("usage"), dict) and usage is not None:
            chunk["usage"] = usage_map(usage)
        for choice in choices_of(chunk):
            if isinstance(choice.get("delta"), dict):
                choice["delta"].pop("role", None)  # sent at the stream's beginning
        if text != event.text:
            _set_text(chunk, text)
        return lenient.encode(chunk)

    def text(self, text: str) -> bytes:
        """A chunk with only that text."""
        said: dict[str, Any] = {"text": text} if self._completion else {"delta": {"content": text}}
        chunk = {**self._identity, "choices": [{"index": 0, **said, "finish_reason": None}]}
        self._cite(chunk)
        return lenient.encode(chunk)

    def _cite(self, chunk: dict[str, Any]) -> None:
        """Move its places, and add what was held: a stream that is continued has one choice."""
        for delta in _deltas(chunk):
            held, self._cited = self._cited, []
            if cited := [*held, *_annotations(delta)]:
                delta["annotations"] = [_moved(each, self._place) for each in cited]

    def before(self) -> list[bytes]:
        """Nothing: a chunk stands by itself."""
        return []


def _is_more_than_text(chunk: dict[str, Any]) -> bool:
    """If a provider's event became several chunks, only the first counts as more than text."""
    return any(delta.get(name) for delta in _deltas(chunk) for name in _MORE)


def _deltas(chunk: dict[str, Any]) -> list[dict[str, Any]]:
    deltas = (choice.get("delta") for choice in choices_of(chunk))
    return [delta for delta in deltas if isinstance(delta, dict)]


def _annotations(delta: dict[str, Any]) -> list[Any]:
    told = delta.get("annotations")
    return told if isinstance(told, list) else []


def _moved(annotation: Any, by: int) -> Any:
    """The same, that many characters later in the text, if it has a place."""
    cited = annotation.get("url_citation") if isinstance(annotation, dict) else None
    if not isinstance(cited, dict) or not any(cited.get(name) for name in _PLACES):
        return annotation
    places = {name: cited[name] + by for name in _PLACES if type(cited.get(name)) is int}
    return {**annotation, "url_citation": {**cited, **places}}


def _set_text(chunk: dict[str, Any], text: str) -> None:
    for choice in choices_of(chunk):
        if isinstance(choice.get("delta"), dict):
            choice["delta"]["content"] = text
        elif "text" in choice:
            choice["text"] = text


def _object(data: bytes) -> dict[str, Any]:
    """A chunk, however oddly it is written."""
    chunk = lenient.decode(data)
    return chunk if isinstance(chunk, dict) else {}
