"""Assembles a stream's events into the unary answer that was asked for.

Owns: joining deltas into blocks. Must never: judge whether the stream was whole (`event_stream.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshd.formats.anthropic.wire import index_of
from meshd.sdk.reading import lenient

_JOINED = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}
_INPUT = "input_json_delta"


class Assembly:
    """`add` every event, then `answer`."""

    def __init__(self) -> None:
        self._message: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._pieces: dict[tuple[int, str], list[str]] = {}  # of a block's member, joined at the end

    def add(self, data: bytes) -> None:
        event = lenient.decode(data)
        if not isinstance(event, dict):
            return
        match event.get("type"):
            case "message_start":
                self._message |= _map(event.get("message"))
            case "content_block_start":
                self._blocks[index_of(event)] = dict(_map(event.get("content_block")))
            case "content_block_delta":
                self._add(index_of(event), _map(event.get("delta")))
            case "message_delta":
                self._message |= {name: value for name, value in _map(event.get("delta")).items() if name != "type"}
                self._message["usage"] = {**_map(self._message.get("usage")), **_given(event.get("usage"))}
                more = {name: value for name, value in event.items() if name not in ("type", "delta", "usage")}
                self._message |= more

    def _add(self, index: int, delta: Mapping[str, Any]) -> None:
        kind = delta.get("type")
        block = self._blocks.setdefault(index, {"type": "tool_use" if kind == _INPUT else "text"})
        name = _INPUT if kind == _INPUT else _JOINED.get(kind) if isinstance(kind, str) else None
        if name is not None:
            piece = delta.get("partial_json" if kind == _INPUT else name)
            self._pieces.setdefault((index, name), []).append(piece if isinstance(piece, str) else "")
        elif kind == "citations_delta":
            citations = block.get("citations")
            block["citations"] = [*(citations if isinstance(citations, list) else ()), delta.get("citation")]
        else:  # newer than this code, or a compaction, which comes in one piece
            block |= {name: value for name, value in delta.items() if name != "type"}

    def answer(self) -> bytes:
        for (index, name), pieces in self._pieces.items():
            block, text = self._blocks[index], "".join(pieces)
            if name == _INPUT:
                block["input"] = _input(text, block.get("input"))
            else:
                before = block.get(name)
                block[name] = (before if isinstance(before, str) else "") + text
        content = [self._blocks[index] for index in sorted(self._blocks)]
        reason = self._message.get("stop_reason") or "end_turn"
        head = {"type": "message", "role": "assistant", **self._message}
        return lenient.encode({**head, "content": content, "stop_reason": reason})


def _input(text: str, begun: Any) -> Any:
    """A call's arguments, as the model wrote them where that is an object."""
    if not text.strip():
        return begun if isinstance(begun, dict) else {}
    try:
        value = lenient.decode(text.encode(errors="replace"))
    except lenient.NotJSON:
        return invalid_input(text)
    return value if isinstance(value, dict) else invalid_input(text)


def invalid_input(text: str) -> dict[str, str]:
    """Arguments other than an object, in the form that Anthropic documents for them."""
    return {"INVALID_JSON": text}


def _given(usage: Any) -> dict[str, Any]:
    """The counts that a report has; the first report may have others."""
    return {name: value for name, value in _map(usage).items() if value is not None}


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
