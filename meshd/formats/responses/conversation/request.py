"""A request to the Responses API as a conversation, and a conversation as a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.formats.conversation.parts import Original, Other, Text
from meshd.formats.conversation.portable import portable
from meshd.formats.conversation.reading import Fields, as_it_came, invalid, not_too_deep, request_of
from meshd.formats.conversation.request import Conversation, Role, Tool, Turn
from meshd.formats.conversation.tools.tool_names import by_name
from meshd.formats.responses.conversation.content import FORMAT
from meshd.formats.responses.conversation.items import ItemWriter, read_items, tools_in
from meshd.formats.responses.conversation.parameters import read_parameters, written_parameters
from meshd.formats.responses.conversation.tools import echoed_tools, needed, read_tools, written_tools
from meshd.sdk.reading import lenient
from modelmesh.errors import InvalidRequestError

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class _Input(msgspec.Struct):
    input: list[msgspec.Raw]


_input = msgspec.json.Decoder(_Input).decode


@not_too_deep(InvalidRequestError, "the body")
def read_request(body: bytes) -> Conversation:
    """Raises InvalidRequestError, which names the field."""
    fields = Fields(request_of(body), "", FORMAT, strict=True)
    model = fields.text("model")
    if not model:
        fields.refuse("model", "the name of a model")
    turns: list[Turn] = []
    instructions, given = fields.take("instructions"), fields.take("input")
    if isinstance(instructions, str):
        turns.append(_of_text(Role.SYSTEM, instructions))
    elif instructions is not None:
        fields.refuse("instructions", "text")
    if isinstance(given, str):
        turns.append(_of_text(Role.USER, given))
    elif isinstance(given, list):
        turns += read_items(given, _input(lenient.whole(body)).input, "input", strict=True)
    elif given is not None:
        raise invalid("input", "text or a list of items")
    listed = fields.entries("tools")
    tools = read_tools(listed, "tools", strict=True)
    brought = [tool for tool in tools_in(given if isinstance(given, list) else ()) if tool not in listed]
    if brought:
        tools += [tool for tool in read_tools(brought, "input", strict=False) if isinstance(tool, Tool)]
    parameters = read_parameters(Fields(fields.left, "", FORMAT, strict=True))
    return Conversation(model, tuple(turns), needed(tools, parameters.tool_choice), parameters)


def _of_text(role: Role, text: str) -> Turn:
    """Instructions, or input that is a single text, which is then also the original."""
    return Turn(role, (Text(text),) if text else (), original=Original(FORMAT, _encode(text)))


@not_too_deep(InvalidRequestError, "the conversation")
def write_request(conversation: Conversation) -> bytes:
    """The body. Raises InvalidRequestError for what this API cannot say."""
    conversation = portable(conversation, FORMAT)
    parameters, tools = conversation.parameters, conversation.tools
    top: Any = as_it_came(parameters, written_parameters(parameters, tools), FORMAT, read_parameters)
    if isinstance(top, msgspec.Raw):
        top = _decode(top)
    document: dict[str, Any] = {"model": conversation.model}
    turns = conversation.turns
    if turns and (instructions := _instructions(turns[0])) is not None:
        document["instructions"] = instructions
        turns = turns[1:]
    document["input"] = _written_input(turns, by_name(tools))
    if tools:
        document["tools"] = written_tools(tools)
    document.update(top)
    return _encode(document)


def _instructions(turn: Turn) -> str | None:
    """The text for `instructions`, if the first turn is such a text; not if it came as an item."""
    original = turn.original
    if turn.role is not Role.SYSTEM or turn.name or len(turn.parts) > 1:
        return None
    if original is not None and original.format == FORMAT and original.json[:1] == b"[":
        return None
    if any(not isinstance(part, Text) or part.cache is not None for part in turn.parts):
        return None  # a mark needs a part of its own
    return _plain(turn)


def _written_input(turns: tuple[Turn, ...], tools: Mapping[str, Tool]) -> Any:
    if len(turns) == 1 and turns[0].original is not None and turns[0] == _of_text(Role.USER, _plain(turns[0])):
        return _plain(turns[0])
    writer = ItemWriter(tools)
    return [item for turn in turns for item in writer.write(turn)]


def _plain(turn: Turn) -> str:
    return "".join(part.text for part in turn.parts if isinstance(part, Text))


def echoed(asked: Conversation | None) -> dict[str, Any]:
    """The parts of its request that a response repeats."""
    conversation = Conversation("", ()) if asked is None else asked
    parameters = conversation.parameters
    came: dict[str, Any] = {}
    if parameters.original is not None and parameters.original.format == FORMAT:
        came = _decode(parameters.original.json)
    tools = tuple(tool for tool in conversation.tools if not isinstance(tool, Other) or tool.original is not None)
    first = _instructions(conversation.turns[0]) if conversation.turns else None
    return {
        "background": False,
        "instructions": first,
        "max_output_tokens": parameters.max_output_tokens,
        "max_tool_calls": came.get("max_tool_calls"),
        "metadata": came.get("metadata") or {},
        "parallel_tool_calls": parameters.parallel_tool_calls is not False,
        "previous_response_id": parameters.previous or None,
        "prompt_cache_key": came.get("prompt_cache_key"),
        "reasoning": came.get("reasoning") or {"effort": None, "summary": None},
        "safety_identifier": came.get("safety_identifier"),
        "service_tier": "default",
        "store": came.get("store") is not False,
        "temperature": parameters.temperature,
        "text": came.get("text") or {"format": {"type": "text"}},
        "tool_choice": came.get("tool_choice") or "auto",
        "tools": msgspec.Raw(_encode(echoed_tools(tools))),
        "top_logprobs": parameters.top_logprobs or 0,
        "top_p": parameters.top_p,
        "truncation": came.get("truncation") or "disabled",
        "user": parameters.user or None,
    }
