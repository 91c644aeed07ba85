"""Definitions of tools, and which of them may be called."""

from __future__ import annotations

from typing import Any

import msgspec

from meshd.formats.cohere.refused import refused
from meshd.formats.conversation.parts import Other
from meshd.formats.conversation.reading import Fields
from meshd.formats.conversation.request import Tool, ToolChoice, ToolMode

_MODES = {"REQUIRED": ToolMode.REQUIRED, "NONE": ToolMode.NONE}
_NAMES = {mode: name for name, mode in _MODES.items()}
_ANY = {"type": "object", "properties": {}}


def read_tool(fields: Fields, strict: bool | None) -> Tool:
    """strict: of all tools of the request."""
    fields.take("type")
    inner = fields.inner("function")
    name = inner.text("name")
    if not name:
        inner.refuse("name", "the name of a tool")
    return Tool(name, inner.text("description"), inner.json("parameters"), strict)


def written_tool(tool: Tool | Other) -> dict[str, Any]:
    """Raises InvalidRequestError for a tool that only another format has."""
    if isinstance(tool, Other):
        raise refused("a tool that another provider runs", "tools")
    if tool.custom:
        raise refused("tools whose input is any text", "tools")
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    return {"type": "function", "function": {**function, "parameters": _schema(tool)}}


def _schema(tool: Tool) -> Any:
    return _ANY if tool.schema is None else msgspec.Raw(tool.schema)


def read_tool_choice(fields: Fields) -> ToolChoice | None:
    given = fields.take("tool_choice")
    if given is None:
        return None
    if not isinstance(given, str) or given not in _MODES:
        fields.refuse("tool_choice", f"one of {', '.join(_MODES)}")
        return None
    return ToolChoice(_MODES[given])


def written_tool_choice(choice: ToolChoice | None) -> str | None:
    """A choice that names tools chooses among these: see `allowed`. Without a choice, the model decides."""
    return None if choice is None else _NAMES.get(choice.mode)


def allowed(tools: tuple[Tool | Other, ...], choice: ToolChoice | None) -> tuple[Tool | Other, ...]:
    """The tools that may be called: those that a choice names, which this API cannot express."""
    if choice is None or not choice.names:
        return tools
    return tuple(tool for tool in tools if isinstance(tool, Tool) and tool.name in choice.names)


def strict_tools(tools: tuple[Tool | Other, ...]) -> bool | None:
    """Whether calls have to fit their definitions: all of them do, or none."""
    return True if tools and all(isinstance(tool, Tool) and tool.strict for tool in tools) else None
