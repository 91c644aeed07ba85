"""Reads what a scripted model has to know of a request.

Must never: refuse a body that a real server would read.
"""

from __future__ import annotations

from typing import Any


def last_user_text(fields: dict[str, Any]) -> str:
    prompt = fields.get("prompt")
    if prompt is not None:
        return " ".join(str(part) for part in prompt) if isinstance(prompt, list) else str(prompt)
    for message in reversed(_messages(fields)):
        if message.get("role") == "user":
            return _text_of(message.get("content"))
    return ""


def last_results(fields: dict[str, Any]) -> str:
    """The results of the tools that the model called last."""
    messages = _messages(fields)
    after = next((n for n in range(len(messages), 0, -1) if messages[n - 1].get("role") == "assistant"), 0)
    return " ".join(_text_of(each.get("content")) for each in messages[after:] if each.get("role") == "tool")


def _messages(fields: dict[str, Any]) -> list[dict[str, Any]]:
    """Those that are objects: an app may send anything."""
    messages = fields.get("messages")
    return [each for each in messages if isinstance(each, dict)] if isinstance(messages, list) else []


def _text_of(content: Any) -> str:
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content or "")


def words(fields: dict[str, Any]) -> int:
    """The number of words in all texts."""
    texts = [_text_of(message.get("content")) for message in _messages(fields)]
    return sum(len(text.split()) for text in [*texts, str(fields.get("prompt") or "")])
