"""Messages as turns, and turns as messages; documents are separate from them.

What an assistant says before it calls tools is its `tool_plan`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from meshd.formats.cohere.conversation.content import FORMAT, read_content, written_content, written_document
from meshd.formats.cohere.refused import refused
from meshd.formats.conversation.parts import File, Other, Part, Text, ToolCall, ToolResult
from meshd.formats.conversation.reading import Fields
from meshd.formats.conversation.request import Role, Turn
from meshd.formats.conversation.tools.call_ids import with_ids
from meshd.formats.conversation.tools.results import with_results_as_text

_ROLES = {"system": Role.SYSTEM, "user": Role.USER, "assistant": Role.ASSISTANT, "tool": Role.TOOL}
_INSTRUCTS = (Role.SYSTEM, Role.DEVELOPER)
_NOT_OF_AN_ID = re.compile(r"[^A-Za-z0-9_-]")


def read_turn(fields: Fields) -> Turn:
    """A message. Raises InvalidRequestError if the fields are strict."""
    role = fields.take("role")
    known = _ROLES.get(role) if isinstance(role, str) else None
    if known is None:
        fields.refuse("role", f"one of {', '.join(_ROLES)}")
        known = Role.ASSISTANT
    if known is Role.TOOL:
        return Turn(known, (ToolResult(fields.text("tool_call_id", always=True), tuple(read_content(fields))),))
    return Turn(known, tuple(read_said(fields)))


def read_said(fields: Fields) -> list[Part]:
    """Take a message's content, its plan and its calls."""
    parts = read_content(fields)
    if plan := fields.text("tool_plan"):
        parts.append(Text(plan))
    for n, given in enumerate(fields.entries("tool_calls")):
        call = Fields.of(given, f"{fields.place('tool_calls')}[{n}]", FORMAT, strict=fields.strict)
        call.take("type")
        inner = call.inner("function")
        parts.append(ToolCall(call.text("id", always=True), inner.text("name"), inner.text("arguments")))
    return parts


def written_turns(turns: Sequence[Turn]) -> tuple[list[Any], list[Any]]:
    """The messages and the documents. Raises InvalidRequestError for what cannot be said."""
    messages: list[Any] = []
    documents: list[Any] = []
    for turn in with_results_as_text(with_ids(turns, _NOT_OF_AN_ID), FORMAT):
        documents += [written_document(part) for part in turn.parts if isinstance(part, File)]
        if any(isinstance(part, Other) for part in turn.parts):
            raise refused("something that only another API has", "messages")
        messages += _messages(replace(turn, parts=tuple(part for part in turn.parts if not isinstance(part, File))))
    return messages, documents


def _messages(turn: Turn) -> Iterator[dict[str, Any]]:
    for result in turn.parts:
        if isinstance(result, ToolResult):
            texts = [{"type": "text", "text": part.text} for part in result.parts if isinstance(part, Text)]
            yield {"role": "tool", "tool_call_id": result.call, "content": texts or [{"type": "text", "text": ""}]}
    calls = [part for part in turn.parts if isinstance(part, ToolCall)]
    content = written_content([part for part in turn.parts if not isinstance(part, ToolCall | ToolResult)])
    if calls:
        yield {"role": "assistant", **_planned(content), "tool_calls": [written_call(call) for call in calls]}
    elif content is not None:
        yield {"role": _role(turn), "content": content}


def _planned(content: Any) -> dict[str, Any]:
    if content is None:
        return {}
    blocks = [{"text": content}] if isinstance(content, str) else content
    if any("text" not in block for block in blocks):
        raise refused("an image in an assistant's turn", "messages")
    return {"tool_plan": "".join(block["text"] for block in blocks)}


def written_call(call: ToolCall) -> dict[str, Any]:
    """Raises InvalidRequestError for one whose input is any text."""
    if call.custom:
        raise refused("calls of tools whose input is any text", "messages")
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    return {"id": call.id, "type": "function", "function": function}


def _role(turn: Turn) -> str:
    if turn.role in _INSTRUCTS:
        return "system"
    return "assistant" if turn.role is Role.ASSISTANT else "user"
