"""Assembles a stream's events into the unary answer that was asked for.

Owns: joining deltas into blocks. Must never: judge whether the stream was whole (`event_stream.py`).
"""

from __future__ import annotations

from typing import Any

from meshd.formats.anthropic.stream.assembled import invalid_input
from meshd.formats.bedrock.wire import index_of
from meshd.sdk.reading import lenient


class Assembly:
    """`add` every event, then `answer`."""

    def __init__(self) -> None:
        self._blocks: dict[int, dict[str, Any]] = {}
        self._texts: dict[tuple[int, str], list[str]] = {}  # of a block's member, joined at the end
        self._end: dict[str, Any] = {}

    def add(self, data: bytes) -> None:
        document = lenient.decode(data)
        for kind, said in document.items() if isinstance(document, dict) else ():
            if not isinstance(said, dict):
                continue
            if kind == "contentBlockStart":
                start = said.get("start")
                self._blocks[index_of(said)] = dict(start) if isinstance(start, dict) else {}
            elif kind == "contentBlockDelta":
                self._add(index_of(said), said.get("delta"))
            elif kind in ("messageStop", "metadata"):
                self._end |= said

    def _add(self, index: int, delta: Any) -> None:
        block = self._blocks.setdefault(index, {})
        for name, value in delta.items() if isinstance(delta, dict) else ():
            if name == "citation":
                block.setdefault("citations", []).append(value)
            elif isinstance(value, dict):  # of reasoning, or of a call
                inner = block.setdefault(name, {})
                for member, piece in value.items():
                    self._texts.setdefault((index, f"{name}.{member}"), []).append(piece)
                    inner.setdefault(member, "")
            else:
                self._texts.setdefault((index, name), []).append(value)
                block.setdefault(name, "")

    def answer(self) -> bytes:
        for (index, path), pieces in self._texts.items():
            block, text = self._blocks[index], "".join(piece for piece in pieces if isinstance(piece, str))
            name, _, member = path.partition(".")
            if not member:
                block[name] = text
            else:
                block[name][member] = _input(text) if path == "toolUse.input" else text
        content = [_whole(self._blocks[index]) for index in sorted(self._blocks)]
        message = {"role": "assistant", "content": content}
        return lenient.encode({"output": {"message": message}, **self._end})


def _input(text: str) -> Any:
    """A call's arguments, as the model wrote them where that is an object."""
    if not text.strip():
        return {}
    try:
        value = lenient.decode(text.encode(errors="replace"))
    except lenient.NotJSON:
        return invalid_input(text)
    return value if isinstance(value, dict) else invalid_input(text)


def _whole(block: dict[str, Any]) -> dict[str, Any]:
    """A block as a unary answer has it."""
    if "citations" in block:
        return {"citationsContent": {"content": [{"text": block.get("text", "")}], "citations": block["citations"]}}
    thought = block.get("reasoningContent")
    if isinstance(thought, dict) and "text" in thought:
        return {"reasoningContent": {"reasoningText": thought}}
    return block
