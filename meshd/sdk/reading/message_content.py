"""The contents of an answer's message: its text, its reasoning, and everything else.

Owns: reading these from OpenAI's `message` and `delta`, in all forms that servers use.
Must never: fail on an unknown form, or change what it reads.

Content is a text, one part, or a list of parts. Reasoning has a field of its own, `reasoning_content` (DeepSeek and
most), `reasoning` (OpenRouter, Ollama, vLLM), `thinking`, or lists of parts, `reasoning_details` (OpenRouter, MiniMax),
`thinking_blocks` (LiteLLM); many servers send the same text in two of them. Or it is a part of the content (Mistral's
`thinking`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from meshd.sdk.reading import lenient

REASONING = ("reasoning_content", "reasoning", "thinking", "reasoning_text", "reasoning_details", "thinking_blocks")
"""The first one with text counts, because the others repeat it."""

MORE_THAN_TEXT = ("tool_calls", "function_call", "audio", "images")
_THINKING = re.compile(r"reason|think|thought", re.I)
_NOT_THOUGHT = re.compile(r"signature|token|effort|finish|_id$|format|encrypted|index|^type$|^stop", re.I)
_INSIDE = ("text", "thinking", "summary", "reasoning", "reasoning_content", "content")


class Said(NamedTuple):
    text: str = ""
    reasoning: str = ""
    extra: str = ""  # a tool call, a refusal, audio, an image: as text or JSON


def read(message: Mapping[str, Any]) -> Said:
    """Read a message, a delta, or a choice of a completion."""
    text, reasoning, extra = _content(message.get("content"))
    if not text:
        text = _plain_text(message.get("text"))
    reasoning += _reasoning(message)
    refusal = message.get("refusal")
    if isinstance(refusal, str):
        extra += refusal
    for name in MORE_THAN_TEXT:
        value = message.get(name)
        if isinstance(value, list | dict | str) and value:
            extra += _as_json(value)
    return Said(text, reasoning, extra)


def _content(content: Any) -> Said:
    if isinstance(content, str):
        return Said(content)
    if isinstance(content, dict):
        return _part(content)
    if not isinstance(content, list):
        return Said(_plain_text(content))
    parts = [_part(part) for part in content]
    return Said(*("".join(kind) for kind in zip(*parts, strict=True))) if parts else Said()


def _part(part: Any) -> Said:
    if not isinstance(part, dict):
        return _content(part)
    kind = part.get("type")
    if isinstance(kind, str) and _THINKING.search(kind):
        return Said(reasoning=thought(part))
    for name in ("text", "content"):
        inside = part.get(name)
        if isinstance(inside, dict) and "value" in inside:  # the Assistants' {"text": {"value": …}}
            inside = inside["value"]
        if isinstance(inside, str | list):
            return _content(inside)
    refusal = part.get("refusal")
    if isinstance(refusal, str):
        return Said(extra=refusal)
    inside = next((part[name] for name in part if is_thinking(name)), None)
    return Said(reasoning=thought(inside)) if inside else Said(extra=_as_json(part) if part else "")


def _reasoning(message: Mapping[str, Any]) -> str:
    for name in REASONING:
        found = thought(message.get(name))
        if found:
            return found
    for name, value in message.items():
        if name not in REASONING and is_thinking(name):
            found = thought(value)
            if found:
                return found
    return ""


def thought(value: Any) -> str:
    """The text of reasoning: plain, or in parts of any kind. Encrypted parts have none."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(thought, value))
    if isinstance(value, dict):
        for name in _INSIDE:
            found = thought(value.get(name))
            if found:
                return found
    return ""


def is_thinking(name: str) -> bool:
    return bool(_THINKING.search(name)) and not _NOT_THOUGHT.search(name)


def _plain_text(value: Any) -> str:
    """A number instead of a text is used as text."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _as_json(value: Any) -> str:
    return lenient.encode(value).decode()
