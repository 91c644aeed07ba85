"""Definitions of tools, and which of them may be called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any

import msgspec
from msgspec.structs import replace

from meshd.formats.conversation.parts import Json, Original, Other
from meshd.formats.conversation.reading import Fields, allowed_tools, as_it_came, json_of
from meshd.formats.conversation.request import Namespace, Tool, ToolChoice, ToolMode
from meshd.formats.conversation.tools.tool_names import by_name, joined
from meshd.formats.responses.conversation.content import FORMAT
from modelmesh.errors import InvalidRequestError

_OWN = ("function", "custom", "namespace")


def read_tools(values: Sequence[Any], where: str, *, strict: bool) -> list[Tool | Other]:
    """A list of tools, and those of its namespaces. A tool that only this API has can be spared if there are others, as
    a model without it can still use those."""
    own = any(isinstance(value, dict) and value.get("type") in _OWN for value in values)
    found: list[Tool | Other] = []
    for n, value in enumerate(values):
        fields = Fields.of(value, f"{where}[{n}]", FORMAT, strict=strict)
        if fields.left.get("type") == "namespace":
            found += _read_namespace(fields)
        else:
            tool = _read_tool(fields)
            found.append(replace(tool, spare=own) if isinstance(tool, Other) else tool)
    return found


def _read_namespace(fields: Fields) -> list[Tool | Other]:
    group = Namespace(_name(fields), fields.text("description"))
    found: list[Tool | Other] = []
    for n, value in enumerate(fields.entries("tools")):
        inner = Fields.of(value, fields.place(f"tools[{n}]"), FORMAT, strict=fields.strict)
        found.append(_read_tool(inner, group))
    return found


def _read_tool(fields: Fields, group: Namespace | None = None) -> Tool | Other:
    original = Original(FORMAT, json_of(fields.left))
    kind = fields.take("type")
    if kind == "function":
        name = _name(fields)
        description, schema = fields.text("description"), fields.json("parameters")
        tool = Tool(name, description, schema, fields.flag("strict"), original=original)
    elif kind == "custom":
        name = _name(fields)
        description, grammar = fields.text("description"), _read_grammar(fields)
        tool = Tool(name, description, custom=True, grammar=grammar, original=original)
    else:
        return Other(kind=kind if isinstance(kind, str) else "", spare=group is not None, original=original)
    if group is None:
        return tool
    return replace(tool, name=joined(group.name, name), namespace=group, local=name)


def _name(fields: Fields) -> str:
    name = fields.text("name")
    if not name:
        fields.refuse("name", "the name of a tool")
    return name


def _read_grammar(fields: Fields) -> Json | None:
    """As the chat format has it: one level deeper."""
    value = fields.take("format")
    if isinstance(value, dict) and value.get("type") == "grammar" and "grammar" not in value:
        inner = {name: each for name, each in value.items() if name != "type"}
        return json_of({"type": "grammar", "grammar": inner})
    return None if value is None else json_of(value)


def _written_grammar(grammar: Json) -> Any:
    value = msgspec.json.decode(grammar)
    inner = value.get("grammar") if isinstance(value, dict) else None
    return {"type": "grammar", **inner} if isinstance(inner, dict) else value


def written_tools(tools: Iterable[Tool | Other]) -> list[Any]:
    made: list[Any] = []
    for group, entries in groupby(tools, key=lambda tool: tool.namespace if isinstance(tool, Tool) else None):
        written = [
            as_it_came(tool, _written_tool(tool), FORMAT, partial(_read_tool, group=group))
            if isinstance(tool, Tool)
            else _as_other(tool)
            for tool in entries
        ]
        if group is None:
            made += written
        else:
            made.append({"type": "namespace", "name": group.name, "description": group.description, "tools": written})
    return made


def echoed_tools(tools: Sequence[Tool | Other]) -> list[Any]:
    """A request's tools, as they came in it."""
    came = [tool.original for tool in tools]
    if any(isinstance(tool, Tool) and tool.namespace is not None for tool in tools):
        return written_tools(tools)
    if any(original is None or original.format != FORMAT for original in came):
        return written_tools(tools)
    return [msgspec.Raw(original.json) for original in came if original is not None]


def _as_other(tool: Other) -> msgspec.Raw:
    if tool.original is None or tool.original.format != FORMAT:
        raise InvalidRequestError(f"the Responses API has no tool `{tool.kind}`", param="tools")
    return msgspec.Raw(tool.original.json)


def _written_tool(tool: Tool) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "custom" if tool.custom else "function", "name": tool.local or tool.name}
    if tool.description:
        made["description"] = tool.description
    if tool.custom:
        return made if tool.grammar is None else {**made, "format": _written_grammar(tool.grammar)}
    made["parameters"] = None if tool.schema is None else msgspec.Raw(tool.schema)
    # Without it, this API treats the schema as strict, and refuses a schema that is not.
    made["strict"] = bool(tool.strict)
    return made


def read_tool_choice(fields: Fields) -> ToolChoice | None:
    """Take `tool_choice`."""
    value = fields.take("tool_choice")
    if value is None:
        return None
    choice = _read_choice(value)
    if choice is None:
        fields.refuse("tool_choice", "auto, none, required, or a tool of the request")
    return choice


def _read_choice(value: Any) -> ToolChoice | None:
    if isinstance(value, str):
        return ToolChoice(ToolMode(value)) if value in tuple(ToolMode) else None
    if not isinstance(value, dict):
        return None
    if value.get("type") == "allowed_tools":
        return allowed_tools(value, _named)
    name = _named(value)
    return ToolChoice(ToolMode.REQUIRED, (name,)) if name else None


def _named(value: Any) -> str:
    """The tool in `{"type": "function", "name": …}`; one that only this API has, by its type."""
    if not isinstance(value, dict):
        return ""
    name, namespace, kind = value.get("name"), value.get("namespace"), value.get("type")
    if isinstance(name, str) and name and kind in _OWN:
        return joined(namespace, name) if isinstance(namespace, str) else name
    return kind if isinstance(kind, str) and kind not in _OWN else ""


def needed(tools: Iterable[Tool | Other], choice: ToolChoice | None) -> tuple[Tool | Other, ...]:
    """The same tools, but one that has to be called cannot be spared."""
    wanted = choice.names if choice is not None and choice.mode is ToolMode.REQUIRED else ()
    return tuple(
        replace(tool, spare=False) if isinstance(tool, Other) and tool.kind in wanted else tool for tool in tools
    )


def written_tool_choice(choice: ToolChoice, tools: Iterable[Tool | Other]) -> Any:
    if not choice.names:
        return str(choice.mode)
    known = by_name(tools)
    hosted = {tool.kind for tool in tools if isinstance(tool, Other)}
    named = [_written_name(name, known.get(name), hosted) for name in choice.names]
    if choice.mode is ToolMode.REQUIRED and len(named) == 1:
        return named[0]
    return {"type": "allowed_tools", "mode": str(choice.mode), "tools": named}


def _written_name(name: str, tool: Tool | None, hosted: set[str]) -> dict[str, Any]:
    if tool is None:
        return {"type": name} if name in hosted else {"type": "function", "name": name}
    made = {"type": "custom" if tool.custom else "function", "name": tool.local or name}
    return made if tool.namespace is None else {**made, "namespace": tool.namespace.name}


def named_in(tools: Mapping[str, Tool], name: str) -> dict[str, str]:
    """The `name` of a call, and the `namespace` that its tool is in."""
    tool = tools.get(name)
    if tool is None or tool.namespace is None:
        return {"name": name}
    return {"name": tool.local, "namespace": tool.namespace.name}
