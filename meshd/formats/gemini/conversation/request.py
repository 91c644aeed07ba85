"""A request of the Gemini API as a conversation, and a conversation as a request.

Its model and whether it is streamed are in the path of the API. Inside the mesh they are fields of the body, `model`
and `stream`, as in other formats.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshd.formats.conversation.parts import Image, ToolResult
from meshd.formats.conversation.portable import portable
from meshd.formats.conversation.reading import Fields, not_too_deep, request_of
from meshd.formats.conversation.request import Conversation
from meshd.formats.conversation.tools.freeform import with_functions
from meshd.formats.conversation.tools.results import with_results_as_text
from meshd.formats.gemini.conversation.content import FORMAT, camelled
from meshd.formats.gemini.conversation.messages import read_system, read_turn, written_turns
from meshd.formats.gemini.conversation.parameters import read_parameters, written_parameters
from meshd.formats.gemini.conversation.tools import read_tools, written_tools
from meshd.formats.gemini.versions import shows_results, version_of
from modelmesh.errors import InvalidRequestError

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


@not_too_deep(InvalidRequestError, "the body")
def read_request(body: bytes) -> Conversation:
    """Raises InvalidRequestError, which names the field."""
    fields = camelled(Fields(request_of(body), "", FORMAT, strict=True))
    model = fields.text("model")
    if not model:
        fields.refuse("model", "the name of a model")
    contents = fields.take("contents")
    if isinstance(contents, dict):
        contents = [contents]
    if not isinstance(contents, list):
        fields.refuse("contents", "a list of contents")
    turns = [read_turn(_inside(content, f"contents[{n}]")) for n, content in enumerate(contents)]
    system = fields.take("systemInstruction")
    if isinstance(system, str):
        system = {"parts": [{"text": system}]}
    if system is not None:
        turns.insert(0, read_system(_inside(system, "systemInstruction")))
    tools = tuple(read_tools(fields)) if fields.left.get("tools") else ()
    parameters = read_parameters(Fields(fields.left, "", FORMAT, strict=True))
    return Conversation(model, tuple(turns), tools, parameters)


def _inside(value: Any, place: str) -> Fields:
    return Fields.of(value, place, FORMAT, strict=True)


@not_too_deep(InvalidRequestError, "the conversation")
def write_request(conversation: Conversation) -> bytes:
    """The body. Raises InvalidRequestError for what this API cannot say."""
    conversation = with_functions(portable(conversation, FORMAT))
    model, turns = conversation.model, conversation.turns
    if version_of(model) is not None and not shows_results(model) and _shows(conversation):
        turns = tuple(with_results_as_text(turns, FORMAT))
    tools = written_tools(conversation.tools)
    top = _top(conversation, tools=bool(tools))
    document: dict[str, Any] = {"model": model, **written_turns(turns, model), **top}
    if tools:
        document["tools"] = tools
    return _encode(document)


def _shows(conversation: Conversation) -> bool:
    """Whether a result has an image."""
    results = (part for turn in conversation.turns for part in turn.parts if isinstance(part, ToolResult))
    return any(isinstance(part, Image) for result in results for part in result.parts)


def _top(conversation: Conversation, *, tools: bool) -> dict[str, Any]:
    """The parameters as they came, while they say the same."""
    parameters = conversation.parameters
    original = parameters.original
    if original is not None and original.format == FORMAT:
        same: dict[str, Any] = _decode(original.json)
        fields = Fields(same, "", FORMAT, strict=False)
        if read_parameters(fields) == parameters:
            return same
        return {**fields.left, **written_parameters(parameters, conversation.model, tools=tools)}
    return written_parameters(parameters, conversation.model, tools=tools)
