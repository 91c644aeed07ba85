"""A conversation without the thoughts that a provider refuses, as it verifies who signed them.

Shapes: https://platform.claude.com/docs/en/build-with-claude/extended-thinking. With a budget for thinking
(`enabled`), the turn before the results of tools has to begin with a thought; without one, thinking is turned off,
along with everything that only thinking requests may ask for. Adaptive thinking has no such rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.sdk.reading.lenient import UNREADABLE, whole

_THOUGHTS = ("thinking", "redacted_thinking")
_DISABLED = msgspec.Raw(b'{"type":"disabled"}')
_CLEARS = "clear_thinking"
_encode = msgspec.json.Encoder().encode


def without_reasoning(fields: Mapping[str, msgspec.Raw]) -> Mapping[str, msgspec.Raw]:
    """The same object if there is nothing to leave out."""
    messages = _value(fields, "messages")
    if not isinstance(messages, list):
        return fields
    kept = [left for message in messages if (left := _without_thoughts(message)) is not None]
    thinking = _value(fields, "thinking")
    off = isinstance(thinking, dict) and thinking.get("type") == "enabled" and _in_tool_loop(kept)
    if kept == messages and not off:
        return fields
    changed = {**fields, "messages": msgspec.Raw(_encode(kept))}
    if off:
        changed["thinking"] = _DISABLED
        _no_clearing(changed)
    return changed


def _without_thoughts(message: Any) -> Any:
    """None if nothing else is in it: an empty turn is refused."""
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list) or message.get("role") != "assistant":
        return message
    kept = [block for block in content if not (isinstance(block, dict) and block.get("type") in _THOUGHTS)]
    if len(kept) == len(content):
        return message
    return {**message, "content": kept} if kept else None


def _in_tool_loop(messages: list[Any]) -> bool:
    content = messages[-1].get("content") if messages and isinstance(messages[-1], dict) else None
    blocks = content if isinstance(content, list) else []
    return any(isinstance(block, dict) and block.get("type") == "tool_result" for block in blocks)


def _no_clearing(fields: dict[str, msgspec.Raw]) -> None:
    """Remove the editing of thoughts, which is refused without thinking."""
    management = _value(fields, "context_management")
    edits = management.get("edits") if isinstance(management, dict) else None
    if not isinstance(edits, list):
        return
    kept = [edit for edit in edits if not (isinstance(edit, dict) and str(edit.get("type")).startswith(_CLEARS))]
    if kept:
        fields["context_management"] = msgspec.Raw(_encode({**management, "edits": kept}))
    else:
        del fields["context_management"]


def _value(fields: Mapping[str, msgspec.Raw], name: str) -> Any:
    """None if it is missing or cannot be read."""
    try:
        return msgspec.json.decode(whole(bytes(fields[name])))
    except (KeyError, *UNREADABLE):
        return None
