"""Assembles a stream's chunks into the unary answer that was asked for.

Owns: joining deltas into messages. Must never: judge whether the stream was whole (`event_stream.py`).
"""

from __future__ import annotations

from typing import Any

from meshd.formats.openai import wire
from meshd.sdk.reading import lenient
from meshd.sdk.reading.message_content import REASONING

_OF_THE_FIRST = ("id", "created", "model", "object", "system_fingerprint")
_NOT_ADDED = ("index", "type", "role", "id", "format", "finish_reason")
_TEXTS = frozenset({"content", "text", "refusal", "arguments", *REASONING})


class Assembly:
    """`add` every chunk, then `answer`."""

    def __init__(self) -> None:
        self._document: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}
        self.chunks = 0

    def add(self, data: bytes) -> None:
        chunk = lenient.decode(data)
        self.chunks += 1
        for name, value in chunk.items():
            if name == "choices" or value is None or (name in _OF_THE_FIRST and self._document.get(name)):
                continue
            self._document[name] = value
        choices = chunk.get("choices")
        for position, choice in enumerate(choices if isinstance(choices, list) else ()):
            if isinstance(choice, dict):
                index = wire.index_of(choice, position)
                _add(self._choices.setdefault(index, {}), {**choice, "index": index})

    def answer(self) -> bytes:
        choices = [_finished(self._choices[index]) for index in sorted(self._choices)]
        kind = "text_completion" if any("text" in choice for choice in choices) else "chat.completion"
        return lenient.encode({**self._document, "object": kind, "choices": choices})


def _finished(choice: dict[str, Any]) -> dict[str, Any]:
    message = choice.pop("delta", None)
    if isinstance(message, dict):
        calls = message.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict):
                call.pop("index", None)
        choice["message"] = {"role": "assistant", "content": None, **message}
        choice["finish_reason"] = wire.finish_reason(choice) or ("tool_calls" if calls else "stop")
    else:
        choice["finish_reason"] = wire.finish_reason(choice) or "stop"
    return choice


def _add(so_far: dict[str, Any], delta: dict[str, Any]) -> None:
    """Texts are joined, lists by the index of their entries."""
    for name, value in delta.items():
        before = so_far.get(name)
        if name in _TEXTS:
            value = _as_text(name, value)
        if value is None or value == "":
            so_far.setdefault(name, value)
        elif name == "tool_calls" and isinstance(value, list):
            so_far[name] = _calls(before if isinstance(before, list) else [], value)
        elif name == "content" and {type(before), type(value)} == {str, list}:
            so_far[name] = [*_parts(before), *_parts(value)]
        elif isinstance(value, list) and any(isinstance(each, dict) and "index" in each for each in value):
            so_far[name] = _by_index(before if isinstance(before, list) else [], value)
        elif isinstance(before, str) and isinstance(value, str) and name not in _NOT_ADDED:
            so_far[name] = before + value if name != "name" or before != value else value
        elif isinstance(value, dict):
            so_far[name] = before if isinstance(before, dict) else {}
            _add(so_far[name], value)
        elif isinstance(before, list) and isinstance(value, list):
            so_far[name] = [*before, *value]
        else:
            so_far[name] = value


def _as_text(name: str, value: Any) -> Any:
    """A text or a list of parts. A token may be a number (Cloudflare); an empty value must not replace a given one."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return str(value)
    return [value] if name == "content" and isinstance(value, dict) else value


def _parts(content: Any) -> list[Any]:
    return content if isinstance(content, list) else [{"type": "text", "text": content}] if content else []


def _calls(calls: list[Any], delta: list[Any]) -> list[Any]:
    """Calls are distinguished by their ids, as some servers give all of them one index, or none."""
    for position, part in enumerate(delta):
        if not isinstance(part, dict):
            continue
        id, index = part.get("id"), part.get("index")
        same = calls if index is None else [call for call in calls if call.get("index") == index]
        if id:
            same = [call for call in same if call.get("id") in (id, None, "")]
        elif index is None and len(delta) > 1:
            same = calls[position : position + 1]
        if same:
            _add(same[-1], part)
        else:
            calls.append({})
            _add(calls[-1], part)
    return calls


def _by_index(entries: list[Any], delta: list[Any]) -> list[Any]:
    for position, entry in enumerate(delta):
        if not isinstance(entry, dict):
            continue
        index = entry.get("index", position)
        found = next((each for each in entries if each.get("index") == index), None)
        if found is None:
            found = {"index": index}
            entries.append(found)
        _add(found, entry)
    return entries
