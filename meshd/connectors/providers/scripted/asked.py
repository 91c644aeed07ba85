"""What a request says to a scripted model.

Must never: refuse a body that a real server would read.
"""

from __future__ import annotations

from typing import Any


def last_user_text(fields: dict[str, Any]) -> str:
    prompt = fields.get("prompt")
    if prompt is not None:
        return prompt if isinstance(prompt, str) else " ".join(str(part) for part in prompt)
    for message in reversed(fields.get("messages") or []):
        if isinstance(message, dict) and message.get("role") == "user":
            return _text_of(message.get("content"))
    return ""


def last_results(fields: dict[str, Any]) -> str:
    """Of the tools that the model called last."""
    messages = [message for message in fields.get("messages") or [] if isinstance(message, dict)]
    after = next((n for n in range(len(messages), 0, -1) if messages[n - 1].get("role") == "assistant"), 0)
    return " ".join(_text_of(each.get("content")) for each in messages[after:] if each.get("role") == "tool")


def _text_of(content: Any) -> str:
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content or "")


def words(fields: dict[str, Any]) -> int:
    """How many there are in all texts."""
    texts = [_text_of(message.get("content")) for message in fields.get("messages") or [] if isinstance(message, dict)]
    return sum(len(text.split()) for text in [*texts, str(fields.get("prompt") or "")])
