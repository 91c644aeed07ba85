"""Where another attempt continues a stream of chunks: its chunks look like the rest of the first one's."""

from __future__ import annotations

from typing import Any

from meshd.formats.openai.usage import usage_map
from meshd.formats.openai.wire import choices_of
from meshd.sdk.provider import OperationSpec, StreamEvent, Usage
from meshd.sdk.reading import lenient

_IDENTITY = ("id", "created", "model", "object", "system_fingerprint", "service_tier")
_MORE = ("tool_calls", "function_call", "refusal", "audio")


class ChunkSeam:
    """first: the chunk with the stream's id."""

    def __init__(self, first: bytes, operation: OperationSpec) -> None:
        said = _object(first)
        self._identity = {name: said[name] for name in _IDENTITY if name in said}
        self._completion = not operation.conversation

    def event(self, event: StreamEvent, text: str, usage: Usage | None) -> bytes | None:
        """text: instead of the event's own. usage: of the whole stream, where the event reports any. None if there is
        nothing for the app in it: a role, a preface; its stream has begun already."""
        chunk = _object(event.data)
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
        return lenient.encode({**self._identity, "choices": [{"index": 0, **said, "finish_reason": None}]})

    def before(self) -> list[bytes]:
        """Nothing: a chunk stands by itself."""
        return []


def _is_more_than_text(chunk: dict[str, Any]) -> bool:
    """If a provider's event became several chunks, only the first is said to have more."""
    deltas = (choice.get("delta") for choice in choices_of(chunk))
    return any(delta.get(name) for delta in deltas if isinstance(delta, dict) for name in _MORE)


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
