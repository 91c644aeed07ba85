"""Declarations of functions, and which of them may be called."""

from __future__ import annotations

from typing import Any

import msgspec

from meshd.formats.conversation.parts import Original, Other
from meshd.formats.conversation.reading import Fields, as_it_came, json_of
from meshd.formats.conversation.request import Tool, ToolChoice, ToolMode
from meshd.formats.gemini.conversation.content import FORMAT, camelled, inner, raw, refused
from meshd.formats.gemini.conversation.schemas import json_schema

_MODES = {"AUTO": ToolMode.AUTO, "NONE": ToolMode.NONE, "ANY": ToolMode.REQUIRED, "VALIDATED": ToolMode.AUTO}


def read_tools(fields: Fields) -> list[Tool | Other]:
    """Take `tools`: the functions in all of them, and the tools that the provider runs, which can be spared if there
    are functions."""
    tools: list[Tool | Other] = []
    elsewhere: list[tuple[str, Any]] = []
    entries = fields.entries("tools")
    for n, entry in enumerate(entries):
        place = fields.place(f"tools[{n}]")
        tool = camelled(Fields.of(entry, place, FORMAT, strict=fields.strict))
        for m, declared in enumerate(tool.entries("functionDeclarations")):
            given = Fields.of(declared, f"{place}.functionDeclarations[{m}]", FORMAT, strict=fields.strict)
            tools.append(read_function(given))
        elsewhere += [(name, {name: value}) for name, value in tool.left.items()]
    spare = bool(tools)
    others = [Other(kind=name, spare=spare, original=Original(FORMAT, json_of(value))) for name, value in elsewhere]
    return [*tools, *others]


def read_function(fields: Fields) -> Tool:
    camelled(fields)
    name = fields.text("name")
    if not name:
        fields.refuse("name", "the name of a function")
    schema = fields.json("parametersJsonSchema")
    own = fields.take("parameters")
    if own is not None:
        fields.odd()
        schema = schema or json_of(json_schema(own))
    return Tool(name, fields.text("description"), schema, original=fields.original())


def written_tools(tools: tuple[Tool | Other, ...]) -> list[Any]:
    """Raises InvalidRequestError for a tool that only another format has."""
    functions = [as_it_came(tool, _written(tool), FORMAT, read_function) for tool in tools if isinstance(tool, Tool)]
    others = [_other(tool) for tool in tools if isinstance(tool, Other)]
    return [*([{"functionDeclarations": functions}] if functions else ()), *others]


def _written(tool: Tool) -> dict[str, Any]:
    if tool.custom:
        raise refused("tools whose input is any text", "tools")
    made = {
        "name": tool.name,
        "description": tool.description or None,
        "parametersJsonSchema": raw(tool.schema),
    }
    return {name: value for name, value in made.items() if value is not None}


def _other(tool: Other) -> Any:
    if tool.original is None or tool.original.format != FORMAT:
        raise refused("a tool that another provider runs", "tools")
    return msgspec.Raw(tool.original.json)


def read_tool_choice(fields: Fields) -> ToolChoice | None:
    """Take `toolConfig`, if it says only which functions may be called."""
    given = fields.left.get("toolConfig")
    if given is None:
        fields.take("toolConfig")
        return None
    config = camelled(Fields.of(given, fields.place("toolConfig"), FORMAT, strict=fields.strict))
    calling = inner(config, "functionCallingConfig")
    mode, names = calling.take("mode"), calling.entries("allowedFunctionNames")
    if not all(isinstance(name, str) for name in names):
        calling.refuse("allowedFunctionNames", "a list of names")
        names = []
    known = _MODES.get(mode.upper()) if isinstance(mode, str) else None
    choice = None if known is None and not names else ToolChoice(known or ToolMode.AUTO, tuple(names))
    if choice is None:
        return None  # it stays
    if written_tool_choice(choice) == given:
        del fields.left["toolConfig"]
    return choice


def written_tool_choice(choice: ToolChoice) -> dict[str, Any]:
    """Some of the functions may be allowed only if one has to be called, or if calls are to follow their schemas."""
    mode = {ToolMode.REQUIRED: "ANY", ToolMode.NONE: "NONE"}.get(choice.mode, "VALIDATED" if choice.names else "AUTO")
    calling: dict[str, Any] = {"mode": mode}
    if choice.names and choice.mode is not ToolMode.NONE:
        calling["allowedFunctionNames"] = list(choice.names)
    return {"functionCallingConfig": calling}
