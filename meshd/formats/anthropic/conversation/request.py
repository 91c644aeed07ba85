"""A request of the Messages API as a conversation, and a conversation as a request."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from meshd.formats.anthropic.conversation.content import FORMAT
from meshd.formats.anthropic.conversation.messages import read_system, read_turn, written_turns
from meshd.formats.anthropic.conversation.parameters import read_parameters, written_parameters
from meshd.formats.anthropic.conversation.tools import allowed, read_tool, written_tool
from meshd.formats.conversation.portable import portable
from meshd.formats.conversation.reading import Fields, as_it_came, not_too_deep, request_of
from meshd.formats.conversation.request import Conversation
from meshd.formats.conversation.tools.freeform import with_functions
from modelmesh.errors import InvalidRequestError

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


@not_too_deep(InvalidRequestError, "the body")
def read_request(body: bytes) -> Conversation:
    """Raises InvalidRequestError, which names the field."""
    fields = Fields(request_of(body), "", FORMAT, strict=True)
    model = fields.text("model")
    if not model:
        fields.refuse("model", "the name of a model")
    messages = fields.take("messages")
    if not isinstance(messages, list):
        fields.refuse("messages", "a list of messages")
    turns = [read_turn(_inside(message, f"messages[{n}]")) for n, message in enumerate(messages)]
    if "system" in fields.left:
        turns.insert(0, read_system(Fields({"system": fields.left.pop("system")}, "", FORMAT, strict=True)))
    tools = tuple(read_tool(_inside(tool, f"tools[{n}]")) for n, tool in enumerate(_tools(fields)))
    parameters = read_parameters(Fields(fields.left, "", FORMAT, strict=True))
    return Conversation(model, tuple(turns), tools, parameters)


def _inside(value: Any, place: str) -> Fields:
    return Fields.of(value, place, FORMAT, strict=True)


def _tools(fields: Fields) -> list[Any]:
    """Take the tools; an empty list stays."""
    given = fields.left.get("tools")
    if not given:
        return []
    if not isinstance(given, list):
        fields.refuse("tools", "a list")
    tools: list[Any] = fields.left.pop("tools")
    return tools


@not_too_deep(InvalidRequestError, "the conversation")
def write_request(conversation: Conversation) -> bytes:
    """The body. Raises InvalidRequestError for what this API cannot say."""
    conversation = with_functions(portable(conversation, FORMAT))
    parameters = conversation.parameters
    tools = allowed(conversation.tools, parameters.tool_choice)
    write = partial(written_parameters, parameters, conversation.model, tools=bool(tools))
    top = _top(conversation, write)
    document: dict[str, Any] = {"model": conversation.model, **written_turns(conversation.turns), **top}
    if tools:
        document["tools"] = [as_it_came(tool, written_tool(tool), FORMAT, read_tool) for tool in tools]
    return _encode(document)


def _top(conversation: Conversation, write: Any) -> dict[str, Any]:
    """The parameters as they came, while they say the same."""
    parameters = conversation.parameters
    original = parameters.original
    if original is not None and original.format == FORMAT:
        same: dict[str, Any] = _decode(original.json)
        fields = Fields(same, "", FORMAT, strict=False)
        if read_parameters(fields) == parameters:
            return same
        return {**fields.left, **write()}
    written: dict[str, Any] = write()
    return written
