"""Definitions of tools, and which of them may be called."""

from __future__ import annotations

from typing import Any

import msgspec

from meshd.formats.anthropic.conversation.content import FORMAT, raw, refused, taken_mark, written_mark
from meshd.formats.conversation.parts import Json, Other
from meshd.formats.conversation.reading import Fields
from meshd.formats.conversation.request import Parameters, Tool, ToolChoice, ToolMode

_MODES = {"auto": ToolMode.AUTO, "none": ToolMode.NONE, "any": ToolMode.REQUIRED}
_NAMES = {mode: name for name, mode in _MODES.items()}
_SINGLE = "disable_parallel_tool_use"


def read_tool(fields: Fields) -> Tool | Other:
    """A tool with a type is known to the model, or run by the provider."""
    kind = fields.left.get("type")
    if kind not in (None, "custom"):
        fields.odd()
        return Other(original=fields.original())
    if "type" in fields.left:
        fields.take("type")
        fields.odd()
    name = fields.text("name")
    if not name:
        fields.refuse("name", "the name of a tool")
    description, strict = fields.text("description"), fields.flag("strict")
    if strict is False:
        fields.odd()
    schema = fields.left.get("input_schema")
    if schema is not None and not isinstance(schema, dict):
        fields.refuse("input_schema", "a map")
    if not isinstance(schema, dict) or "type" not in schema:
        fields.odd()
    read = fields.json("input_schema")
    return Tool(name, description, read, strict, cache=taken_mark(fields), original=fields.original())


def written_tool(tool: Tool | Other) -> dict[str, Any]:
    """Raises InvalidRequestError for a tool that only another format has."""
    if isinstance(tool, Other):
        if tool.original is not None and tool.original.format == FORMAT:
            return {}
        raise refused("a tool that another provider runs", "tools")
    if tool.custom:
        raise refused("tools whose input is any text", "tools")
    made = {
        "name": tool.name,
        "description": tool.description or None,
        "input_schema": _schema(tool.schema),
        "strict": tool.strict or None,
        "cache_control": None if tool.cache is None else written_mark(tool.cache),
    }
    return {name: value for name, value in made.items() if value is not None}


def _schema(schema: Json | None) -> Any:
    """It has to be the schema of an object, and say so."""
    value = {} if schema is None else msgspec.json.decode(schema)
    return {"type": "object", **value} if isinstance(value, dict) and "type" not in value else raw(schema)


def read_tool_choice(fields: Fields) -> tuple[ToolChoice | None, bool | None]:
    """Take `tool_choice`: the choice, and whether calls may be parallel."""
    given = fields.left.get("tool_choice")
    if given is None:
        fields.take("tool_choice")
        return None, None
    inner = Fields.of(given, fields.place("tool_choice"), fields.format, strict=fields.strict)
    kind, name, single = inner.take("type"), inner.text("name"), inner.flag(_SINGLE)
    choice = None
    if kind == "tool" and name:
        choice = ToolChoice(ToolMode.REQUIRED, (name,))
    elif isinstance(kind, str) and kind in _MODES:
        choice = ToolChoice(_MODES[kind])
    else:
        inner.refuse("type", f"one of {', '.join((*_MODES, 'tool'))}; `tool` needs a name")
    parallel = None if single is None else not single
    if (
        choice is not None
        and written_tool_choice(Parameters(tool_choice=choice, parallel_tool_calls=parallel)) == given
    ):
        del fields.left["tool_choice"]
    return choice, parallel


def written_tool_choice(parameters: Parameters) -> dict[str, Any] | None:
    """A choice that names several tools chooses among these: see `allowed`."""
    choice, parallel = parameters.tool_choice, parameters.parallel_tool_calls
    if choice is None and parallel is not False:
        return None
    made: dict[str, Any] = {"type": "auto" if choice is None else _NAMES[choice.mode]}
    if choice is not None and choice.mode is ToolMode.REQUIRED and len(choice.names) == 1:
        made = {"type": "tool", "name": choice.names[0]}
    if parallel is not None and made["type"] != "none":
        made[_SINGLE] = not parallel
    return made


def allowed(tools: tuple[Tool | Other, ...], choice: ToolChoice | None) -> tuple[Tool | Other, ...]:
    """The tools that may be called, if a choice names several, which this API cannot express."""
    if choice is None or not choice.names or (choice.mode is ToolMode.REQUIRED and len(choice.names) == 1):
        return tools
    return tuple(tool for tool in tools if isinstance(tool, Tool) and tool.name in choice.names)
