"""Definitions of tools, and which of them may be called."""

from __future__ import annotations

from typing import Any

import msgspec

from meshd.formats.conversation.parts import Json, Other
from meshd.formats.conversation.reading import Fields, allowed_tools
from meshd.formats.conversation.request import Tool, ToolChoice, ToolMode
from meshd.formats.openai.conversation.content import FORMAT, cache_mark
from modelmesh.errors import InvalidRequestError

_MODES = {**{str(mode): mode for mode in ToolMode}, "any": ToolMode.REQUIRED}  # the last is Mistral's


def read_tool(fields: Fields) -> Tool | Other:
    """An entry of `tools`."""
    kind = fields.take("type")
    if kind == "function":
        inner = fields.inner("function")
        tool = _read_function(inner)
    elif kind == "custom":
        inner = fields.inner("custom")
        grammar = inner.json("format")
        tool = Tool(_name(inner), inner.text("description"), custom=True, grammar=grammar)
    else:  # one that a server runs
        fields.odd()
        return Other(original=fields.original())
    fields.keep(inner)
    return msgspec.structs.replace(tool, cache=cache_mark(fields.left), original=fields.original())


def read_function(fields: Fields) -> Tool:
    """An entry of `functions`."""
    return msgspec.structs.replace(_read_function(fields), original=fields.original())


def _read_function(fields: Fields) -> Tool:
    return Tool(_name(fields), fields.text("description"), fields.json("parameters"), fields.flag("strict"))


def _name(fields: Fields) -> str:
    name = fields.text("name")
    if not name:
        fields.refuse("name", "the name of a tool")
    return name


def written_tool(tool: Tool | Other) -> dict[str, Any]:
    """Raises InvalidRequestError for a tool that only its format has."""
    if isinstance(tool, Other):
        return _refused(tool)
    if not tool.custom:
        return {"type": "function", "function": written_function(tool)}
    custom = {"name": tool.name, "description": tool.description or None, "format": _raw(tool.grammar)}
    return {"type": "custom", "custom": _given(custom)}


def written_function(tool: Tool | Other) -> dict[str, Any]:
    if isinstance(tool, Other):
        return _refused(tool)
    made = {
        "name": tool.name,
        "description": tool.description or None,
        "parameters": _raw(tool.schema),
        "strict": tool.strict,
    }
    return _given(made)


def _refused(tool: Other) -> dict[str, Any]:
    if tool.original is not None and tool.original.format == FORMAT:
        return {}
    raise InvalidRequestError("OpenAI's format has no such tool", param="tools")


def _raw(json: Json | None) -> msgspec.Raw | None:
    return None if json is None else msgspec.Raw(json)


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def read_tool_choice(fields: Fields) -> ToolChoice | None:
    """Take `tool_choice`, or the deprecated `function_call`."""
    for name in ("tool_choice", "function_call"):
        value = fields.take(name)
        if value is None:
            continue
        choice = _read_choice(value)
        if choice is None:
            fields.refuse(name, "auto, none, required, or a tool of the request")
        elif name == "function_call" or written_tool_choice(choice) != value:
            fields.odd()
        return choice
    return None


def _read_choice(value: Any) -> ToolChoice | None:
    if isinstance(value, str):
        return ToolChoice(_MODES[value]) if value in _MODES else None
    if not isinstance(value, dict):
        return None
    allowed = value.get("allowed_tools")
    if isinstance(allowed, dict):
        return allowed_tools(allowed, _named)
    name = _named(value)
    return ToolChoice(ToolMode.REQUIRED, (name,)) if name else None


def _named(value: Any) -> str:
    """The tool in `{"type": "function", "function": {"name": …}}` or a like form, "" if there is none."""
    if not isinstance(value, dict):
        return ""
    inside = next((value[kind] for kind in ("function", "custom") if isinstance(value.get(kind), dict)), value)
    name = inside.get("name")
    return name if isinstance(name, str) else ""


def written_tool_choice(choice: ToolChoice) -> Any:
    """A custom tool is named like a function, unless it came in another form."""
    if not choice.names:
        return str(choice.mode)
    tools = [{"type": "function", "function": {"name": name}} for name in choice.names]
    if choice.mode is ToolMode.REQUIRED and len(tools) == 1:
        return tools[0]
    return {"type": "allowed_tools", "allowed_tools": {"mode": str(choice.mode), "tools": tools}}
