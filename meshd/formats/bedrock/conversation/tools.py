"""Definitions of tools, and which of them may be called.

The API requires the definitions of tools in every conversation that has calls, and cannot express "call none". If none
may be called, a conversation's calls and results are written as text, so that no definition is needed and none can be
called.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from meshd.formats.anthropic.conversation.tools import allowed
from meshd.formats.bedrock.conversation.content import ContentWriter
from meshd.formats.bedrock.conversation.refused import refused
from meshd.formats.bedrock.families import marks_tools
from meshd.formats.conversation.parts import Json, Other, Part, Text, ToolCall, ToolResult
from meshd.formats.conversation.request import Conversation, Role, Tool, ToolChoice, ToolMode, Turn


def callable_tools(conversation: Conversation) -> tuple[Tool | Other, ...]:
    """None if no tool may be called."""
    choice = conversation.parameters.tool_choice
    if choice is not None and choice.mode is ToolMode.NONE:
        return ()
    return allowed(conversation.tools, choice)


def tool_config(
    tools: Sequence[Tool | Other], choice: ToolChoice | None, model: str, content: ContentWriter
) -> dict[str, Any]:
    """Raises InvalidRequestError for a tool that only another format has."""
    written: list[dict[str, Any]] = []
    for tool in tools:
        if isinstance(tool, Other):
            raise refused("a tool that another provider runs", "tools")
        written.append({"toolSpec": _spec(tool)})
        if tool.cache is not None and marks_tools(model):
            written += content.mark(tool.cache)
    made: dict[str, Any] = {"tools": written}
    if choice is not None:
        made["toolChoice"] = _choice(choice)
    return made


def _spec(tool: Tool) -> dict[str, Any]:
    made = {
        "name": tool.name,
        "description": tool.description or None,
        "inputSchema": {"json": _schema(tool.schema)},
        "strict": tool.strict or None,
    }
    return {name: value for name, value in made.items() if value is not None}


def _schema(schema: Json | None) -> Any:
    """It has to be the schema of an object, and say so."""
    value = {} if schema is None else msgspec.json.decode(schema)
    if isinstance(value, dict) and "type" in value and schema is not None:
        return msgspec.Raw(schema)
    return {"type": "object", **value} if isinstance(value, dict) else {"type": "object"}


def _choice(choice: ToolChoice) -> dict[str, Any]:
    """A choice that names several tools chooses among these; only they are sent."""
    if choice.mode is not ToolMode.REQUIRED:
        return {"auto": {}}
    return {"tool": {"name": choice.names[0]}} if len(choice.names) == 1 else {"any": {}}


def told_as_text(turns: Iterable[Turn]) -> list[Turn]:
    """Turns without calls and results."""
    names = {part.id: part.name for turn in turns for part in turn.parts if isinstance(part, ToolCall)}
    return [replace(turn, role=_role(turn), parts=tuple(_told(turn.parts, names))) for turn in turns]


def _role(turn: Turn) -> Role:
    return Role.USER if turn.role is Role.TOOL else turn.role


def _told(parts: Iterable[Part], names: dict[str, str]) -> Iterable[Part]:
    for part in parts:
        if isinstance(part, ToolCall):
            yield Text(f"[Called the tool {part.name} with {part.arguments or '{}'}]")
        elif isinstance(part, ToolResult):
            name = part.name or names.get(part.call, "")
            yield Text(f"[{'Failure' if part.failed else 'Result'} of {f'the tool {name}' if name else 'a tool'}:]")
            yield from part.parts
        else:
            yield part
