"""Items of input and output as turns, and turns as items.

Everything that the model said in one answer, which is several items here (reasoning, a message, calls), is one turn of
the assistant. Every turn keeps its items as its original, because their ids and states have no place in the records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from meshd.formats.conversation.parts import (
    Original,
    Other,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from meshd.formats.conversation.reading import Fields, json_of
from meshd.formats.conversation.request import Namespace, Role, Tool, Turn
from meshd.formats.conversation.seals import sealed, unsealed
from meshd.formats.conversation.tools.tool_names import joined
from meshd.formats.openai.conversation.messages import signature_in
from meshd.formats.responses.conversation.content import FORMAT, read_content, written_input
from meshd.formats.responses.conversation.tools import named_in
from modelmesh.errors import InvalidRequestError

PARAGRAPH = "\n\n"
"""Between the parts of a summary."""

_ROLES = {role: Role(role) for role in ("system", "developer", "user", "assistant")}
_decode = msgspec.json.Decoder().decode
_SPARE = frozenset(
    {"web_search_call", "file_search_call", "image_generation_call", "code_interpreter_call", "mcp_list_tools",
     "mcp_call", "tool_search_call", "tool_search_output", "additional_tools"}
)  # fmt: skip
"""Items for what the provider did for a later message, and for what other items repeat: `additional_tools` are
tools."""
_OF_MODEL = frozenset(
    {"computer_call", "local_shell_call", "shell_call", "apply_patch_call", "mcp_approval_request", "program"}
)
_BRINGS_TOOLS = ("additional_tools", "tool_search_output")


def read_items(items: Sequence[Any], came: Sequence[bytes], where: str, *, strict: bool) -> list[Turn]:
    """came: each item as JSON. Raises InvalidRequestError if strict."""
    turns: list[tuple[Role, list[Part], list[bytes]]] = []
    for n, item in enumerate(items):
        role, parts = _read_item(Fields.of(item, f"{where}[{n}]", FORMAT, strict=strict))
        if role is not Role.ASSISTANT or not turns or turns[-1][0] is not role:
            turns.append((role, [], []))
        turns[-1][1].extend(parts)
        turns[-1][2].append(came[n])
    return [
        Turn(role, tuple(parts), original=Original(FORMAT, b"[" + b",".join(these) + b"]"))
        for role, parts, these in turns
    ]


def tools_in(items: Iterable[Any]) -> list[Any]:
    """The tools that come with items."""
    found: list[Any] = []
    for item in items:
        if isinstance(item, dict) and item.get("type") in _BRINGS_TOOLS and isinstance(item.get("tools"), list):
            found += item["tools"]
    return found


def _read_item(fields: Fields) -> tuple[Role, list[Part]]:
    value = dict(fields.left)
    kind = fields.take("type")
    if kind is None and "role" in fields.left:
        kind = "message"
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is not None:
        return reader(fields)
    kind = kind if isinstance(kind, str) else "item_reference" if kind is None and "id" in value else ""
    other = Other(kind=kind, spare=kind in _SPARE, original=Original(FORMAT, json_of(value)))
    if kind in _OF_MODEL or (kind in _SPARE and kind not in _BRINGS_TOOLS):
        return Role.ASSISTANT, [other]
    return (Role.TOOL if kind.endswith("_output") else Role.USER), [other]


def _read_message(fields: Fields) -> tuple[Role, list[Part]]:
    role = fields.take("role")
    known = _ROLES.get(role) if isinstance(role, str) else None
    if known is None:
        fields.refuse("role", f"one of {', '.join(_ROLES)}")
        known = Role.ASSISTANT
    return known, read_content(fields, "content")


def _read_reasoning(fields: Fields) -> tuple[Role, list[Part]]:
    id, encrypted = fields.text("id"), fields.text("encrypted_content")
    text = "".join(_texts(fields, "content")) or PARAGRAPH.join(filter(None, _texts(fields, "summary")))
    return Role.ASSISTANT, [unsealed(text, encrypted, id, of_items=True)]


def _texts(fields: Fields, name: str) -> list[str]:
    parts = fields.entries(name)
    return [part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]


def _read_call(fields: Fields) -> tuple[Role, list[Part]]:
    arguments = fields.left.get("arguments")
    text = fields.text("arguments") if isinstance(arguments, str | None) else json_of(fields.take("arguments")).decode()
    return Role.ASSISTANT, [ToolCall(_call_id(fields), _name(fields), text, False, signature_in(fields.left))]


def _read_custom_call(fields: Fields) -> tuple[Role, list[Part]]:
    return Role.ASSISTANT, [ToolCall(_call_id(fields), _name(fields), fields.text("input"), True)]


def _call_id(fields: Fields) -> str:
    id = fields.text("call_id")
    if not id:
        fields.refuse("call_id", "the id of the call")
    return id


def _name(fields: Fields) -> str:
    name, namespace = fields.text("name"), fields.text("namespace")
    if not name:
        fields.refuse("name", "the name of a tool")
    return joined(namespace, name)


def _read_result(fields: Fields) -> tuple[Role, list[Part]]:
    return Role.TOOL, [ToolResult(_call_id(fields), tuple(read_content(fields, "output")))]


_READERS: dict[str, Callable[[Fields], tuple[Role, list[Part]]]] = {
    "message": _read_message,
    "reasoning": _read_reasoning,
    "function_call": _read_call,
    "custom_tool_call": _read_custom_call,
    "function_call_output": _read_result,
    "custom_tool_call_output": _read_result,
}


class ItemWriter:
    """Writes the items of a request, in order, because an output is written like its call."""

    def __init__(self, tools: Mapping[str, Tool]) -> None:
        self._tools = tools
        self._custom: set[str] = set()  # ids of calls of custom tools
        self._made: list[tuple[str, str]] = []  # calls that had no id and are not answered yet: the tool and the new id
        self._count = 0

    def write(self, turn: Turn) -> list[Any]:
        """Raises InvalidRequestError for what cannot be said."""
        self._custom |= {part.id for part in turn.parts if isinstance(part, ToolCall) and part.custom}
        original = turn.original
        if original is not None and original.format == FORMAT:
            items = _decode(original.json)
            raws = msgspec.json.decode(original.json, type=list[msgspec.Raw]) if isinstance(items, list) else []
            if read_items(items, raws, "", strict=False) == [turn]:
                return list(raws)
        return list(self._items(turn))

    def _items(self, turn: Turn) -> Iterable[Any]:
        said: list[Part] = []
        for part in turn.parts:
            if isinstance(part, Text | Refusal) or (
                turn.role is not Role.ASSISTANT and not isinstance(part, ToolCall | ToolResult | Reasoning | Other)
            ):
                said.append(part)
                continue
            if said:
                yield _message(turn.role, said)
                said = []
            yield from self._item(part)
        if said or not turn.parts:
            yield _message(turn.role, said)

    def _item(self, part: Part) -> Iterable[Any]:
        match part:
            case Reasoning():
                # Only its own provider can read it, and that refuses an unknown id.
                if part.encrypted and part.id:
                    yield reasoning_item(part, part.id)
            case ToolCall():
                if not part.id:
                    self._made.append((part.name, self._new_id()))
                    part = replace(part, id=self._made[-1][1])
                yield call_item(part, self._tools)
            case ToolResult():
                custom = part.call in self._custom
                kind = "custom_tool_call_output" if custom else "function_call_output"
                id = part.call or self._made_for(part.name)
                yield {"type": kind, "call_id": id, "output": written_input(part.parts)}
            case Other() if part.original is not None and part.original.format == FORMAT:
                yield msgspec.Raw(part.original.json)
            case _:
                what = type(part).__name__.lower()
                raise InvalidRequestError(f"an {what} in an answer cannot be sent to the Responses API", param="input")

    def _new_id(self) -> str:
        self._count += 1
        return f"call_{self._count}"

    def _made_for(self, name: str) -> str:
        """The id of the call that a result without one answers: the first of its tool."""
        found = next((made for made in self._made if not name or made[0] == name), None)
        if found is None:
            return self._new_id()
        self._made.remove(found)
        return found[1]


def _message(role: Role, parts: list[Part]) -> dict[str, Any]:
    if role is not Role.ASSISTANT:
        role = Role.USER if role is Role.TOOL else role
        return {"type": "message", "role": str(role), "content": written_input(parts)}
    if all(isinstance(part, Text) for part in parts):
        text = "".join(part.text for part in parts if isinstance(part, Text))
        return {"type": "message", "role": "assistant", "content": text}
    content = [said_part(part) for part in parts if isinstance(part, Text | Refusal)]
    return {"type": "message", "role": "assistant", "content": content}


def said_part(part: Text | Refusal, logprobs: Any = None, annotations: Sequence[Any] = ()) -> dict[str, Any]:
    """A part of an answer's message."""
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    return {"type": "output_text", "text": part.text, "annotations": list(annotations), "logprobs": logprobs or []}


def reasoning_item(part: Reasoning, id: str) -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": part.text}] if part.text else []
    made: dict[str, Any] = {"type": "reasoning", "id": id, "summary": summary}
    if seal := sealed(part, of_items=True):
        made["encrypted_content"] = seal
    return made


def call_item(part: ToolCall, tools: Mapping[str, Tool]) -> dict[str, Any]:
    """tools: of the request, by name."""
    named = named_in(tools, part.name)
    if part.custom:
        return {"type": "custom_tool_call", "call_id": part.id, **named, "input": part.arguments}
    made: dict[str, Any] = {"type": "function_call", "call_id": part.id, **named, "arguments": part.arguments}
    if part.signature:
        made["extra_content"] = {"google": {"thought_signature": part.signature}}
    return made


def called(items: Iterable[Any]) -> dict[str, Tool]:
    """The tools of namespaces that an answer's items call."""
    found = {}
    for item in items:
        if isinstance(item, dict) and isinstance(name := item.get("name"), str):
            namespace = item.get("namespace")
            if isinstance(namespace, str) and namespace:
                flat = joined(namespace, name)
                found[flat] = Tool(flat, namespace=Namespace(namespace), local=name)
    return found


def parts_of(turns: Iterable[Turn]) -> tuple[Part, ...]:
    """Everything that an answer's items contain."""
    return tuple(part for turn in turns for part in turn.parts)
