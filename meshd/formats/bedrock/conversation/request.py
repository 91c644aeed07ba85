"""A conversation as a request of the Converse API. Its model and whether it streams are in its path."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from meshd.formats.bedrock.conversation.content import ContentWriter
from meshd.formats.bedrock.conversation.messages import written_turns
from meshd.formats.bedrock.conversation.parameters import is_single, written_parameters
from meshd.formats.bedrock.conversation.refused import FORMAT
from meshd.formats.bedrock.conversation.tools import callable_tools, told_as_text, tool_config
from meshd.formats.conversation.portable import portable
from meshd.formats.conversation.reading import not_too_deep
from meshd.formats.conversation.request import Conversation
from meshd.formats.conversation.tools.freeform import with_functions
from modelmesh.errors import InvalidRequestError

_encode = msgspec.json.Encoder().encode


@not_too_deep(InvalidRequestError, "the conversation")
def write_request(conversation: Conversation) -> bytes:
    """The body, for the model that the conversation names. Raises InvalidRequestError for what this API cannot say."""
    conversation = with_functions(portable(conversation, FORMAT))
    parameters, model = conversation.parameters, conversation.model
    tools = callable_tools(conversation)
    if not tools:
        conversation = replace(conversation, turns=tuple(told_as_text(conversation.turns)))
    content = ContentWriter(model)
    document: dict[str, Any] = written_turns(conversation.turns, content)
    document |= written_parameters(parameters, model, tools=bool(tools))
    if tools:
        choice = None if is_single(parameters, model) else parameters.tool_choice
        document["toolConfig"] = tool_config(tools, choice, model, content)
    return _encode(document)
