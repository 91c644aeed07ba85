"""A chat completion's request as a conversation, and a conversation as a request.

`functions` and `function_call`, which OpenAI has replaced by `tools` and `tool_choice`, are read as these; a request
that came with them is written with them, and so is its answer (`uses_functions`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshd.formats.conversation.parts import Original, Other
from meshd.formats.conversation.portable import portable
from meshd.formats.conversation.reading import Fields, as_it_came, not_too_deep, request_of
from meshd.formats.conversation.request import Conversation, Tool
from meshd.formats.conversation.tools.results import with_results_as_text
from meshd.formats.openai.conversation.content import FORMAT
from meshd.formats.openai.conversation.messages import read_turn, written_turn
from meshd.formats.openai.conversation.parameters import read_parameters, written_parameters
from meshd.formats.openai.conversation.tools import read_function, read_tool, written_function, written_tool
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
    turns = tuple(
        read_turn(Fields.of(message, f"messages[{n}]", FORMAT, strict=True)) for n, message in enumerate(messages)
    )
    name = tools_name(fields.left)
    given = fields.left.get(name)
    tools: tuple[Tool | Other, ...] = ()
    if given:
        if not isinstance(given, list):
            fields.refuse(name, "a list")
        read = read_function if name == "functions" else read_tool
        tools = tuple(read(Fields.of(tool, f"{name}[{n}]", FORMAT, strict=True)) for n, tool in enumerate(given))
        if "functions" in fields.left:
            fields.left[name] = []  # as a sign of which was used
        else:
            del fields.left[name]
    return Conversation(model, turns, tools, read_parameters(Fields(fields.left, "", FORMAT, strict=True)))


@not_too_deep(InvalidRequestError, "the conversation")
def write_request(conversation: Conversation) -> bytes:
    """The body. Raises InvalidRequestError for what OpenAI's format cannot say."""
    conversation = portable(conversation, FORMAT)
    parameters = conversation.parameters
    top = as_it_came(parameters, written_parameters(parameters), FORMAT, read_parameters)
    if isinstance(top, msgspec.Raw):
        top = _decode(top)
    turns = with_results_as_text(conversation.turns, FORMAT)
    messages = [message for turn in turns for message in written_turn(turn)]
    document = {"model": conversation.model, "messages": messages, **top}
    name = tools_name(top)
    if conversation.tools:
        write, read = (written_function, read_function) if name == "functions" else (written_tool, read_tool)
        document[name] = [as_it_came(tool, write(tool), FORMAT, read) for tool in conversation.tools]
    return _encode(document)


def tools_name(top: dict[str, Any]) -> str:
    """Which of the two names of the list of tools a request uses."""
    return "functions" if isinstance(top.get("functions"), list) and "tools" not in top else "tools"


def uses_functions(conversation: Conversation | None) -> bool:
    """Whether the app asked with `functions`, so that it expects `function_call` in the answer."""
    original: Original | None = None if conversation is None else conversation.parameters.original
    if original is None or original.format != FORMAT:
        return False
    return tools_name(_decode(original.json)) == "functions"
