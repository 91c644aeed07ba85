"""Assembles a stream's events into the unary answer that was asked for.

Must never: judge whether the stream was whole (`event_stream.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshd.formats.cohere.wire import index_of, text_in
from meshd.sdk.reading import lenient


class Assembly:
    """`add` every event, then `answer`."""

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._pieces: dict[tuple[int, str], list[str]] = {}  # of a block's text or thinking, joined at the end
        self._plan: list[str] = []
        self._calls: dict[int, dict[str, Any]] = {}
        self._arguments: dict[int, list[str]] = {}
        self._citations: list[Any] = []

    def add(self, data: bytes) -> None:
        event = lenient.decode(data)
        if not isinstance(event, dict):
            return
        delta = _map(event.get("delta"))
        message, index = _map(delta.get("message")), index_of(event)
        match event.get("type"):
            case "message-start":
                self._head = {"id": event.get("id")}
            case "content-start" | "content-delta":
                for name, said in zip(("text", "thinking"), text_in(message.get("content")), strict=True):
                    if said:
                        self._pieces.setdefault((index, name), []).append(said)
            case "tool-plan-delta":
                self._plan.append(str(message.get("tool_plan") or ""))
            case "tool-call-start":
                self._calls[index] = dict(_map(message.get("tool_calls")))
                self._add(index, self._calls[index])
            case "tool-call-delta":
                self._add(index, _map(message.get("tool_calls")))
            case "citation-start":
                self._citations.append(message.get("citations"))
            case "message-end":
                self._head |= delta

    def _add(self, index: int, call: Mapping[str, Any]) -> None:
        piece = _map(call.get("function")).get("arguments")
        self._arguments.setdefault(index, []).append(piece if isinstance(piece, str) else "")

    def answer(self) -> bytes:
        message: dict[str, Any] = {"role": "assistant"}
        content = [
            {"type": name, name: "".join(pieces)}
            for (_, name), pieces in sorted(self._pieces.items(), key=lambda each: each[0][0])
        ]
        for index, call in self._calls.items():
            call["function"] = {**_map(call.get("function")), "arguments": "".join(self._arguments[index])}
        more = {
            "content": content,
            "tool_plan": "".join(self._plan),
            "tool_calls": [self._calls[index] for index in sorted(self._calls)],
            "citations": self._citations,
        }
        message |= {name: value for name, value in more.items() if value}
        return lenient.encode({"finish_reason": "COMPLETE", **self._head, "message": message})


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
