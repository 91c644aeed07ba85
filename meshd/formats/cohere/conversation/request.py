"""A chat request as a conversation, and a conversation as a request."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from meshd.formats.cohere.conversation.content import FORMAT, read_document
from meshd.formats.cohere.conversation.messages import read_turn, written_turns
from meshd.formats.cohere.conversation.parameters import read_parameters, written_parameters
from meshd.formats.cohere.conversation.tools import allowed, read_tool, strict_tools, written_tool
from meshd.formats.conversation.portable import portable
from meshd.formats.conversation.reading import Fields, not_too_deep, request_of
from meshd.formats.conversation.request import Conversation, Role, Turn
from meshd.formats.conversation.tools.freeform import with_functions
from modelmesh.errors import InvalidRequestError

_encode = msgspec.json.Encoder().encode


@not_too_deep(InvalidRequestError, "the body")
def read_request(body: bytes) -> Conversation:
    """Documents belong to the last turn of the user. Raises InvalidRequestError, which names the field."""
    fields = Fields(request_of(body), "", FORMAT, strict=True)
    model = fields.text("model")
    if not model:
        fields.refuse("model", "the name of a model")
    messages = fields.take("messages")
    if not isinstance(messages, list):
        fields.refuse("messages", "a list of messages")
    turns = [read_turn(_inside(message, f"messages[{n}]")) for n, message in enumerate(messages)]
    documents = tuple(read_document(document) for document in fields.entries("documents"))
    last = next((n for n in range(len(turns) - 1, -1, -1) if turns[n].role is Role.USER), None)
    if documents and last is None:
        turns.append(Turn(Role.USER, documents))
    elif documents and last is not None:
        turns[last] = replace(turns[last], parts=(*documents, *turns[last].parts))
    strict = fields.on("strict_tools") or None
    tools = tuple(read_tool(_inside(tool, f"tools[{n}]"), strict) for n, tool in enumerate(fields.entries("tools")))
    return Conversation(model, tuple(turns), tools, read_parameters(Fields(fields.left, "", FORMAT, strict=True)))


def _inside(value: Any, place: str) -> Fields:
    return Fields.of(value, place, FORMAT, strict=True)


@not_too_deep(InvalidRequestError, "the conversation")
def write_request(conversation: Conversation) -> bytes:
    """The body. Raises InvalidRequestError for what this API cannot say."""
    conversation = with_functions(portable(conversation, FORMAT))
    parameters = conversation.parameters
    tools = allowed(conversation.tools, parameters.tool_choice)
    messages, documents = written_turns(conversation.turns)
    document: dict[str, Any] = {"model": conversation.model, "messages": messages}
    document |= written_parameters(parameters, conversation.model, tools=bool(tools), documents=bool(documents))
    if documents:
        document["documents"] = documents
    if tools:
        document["tools"] = [written_tool(tool) for tool in tools]
        if strict_tools(tools):
            document["strict_tools"] = True
    return _encode(document)
