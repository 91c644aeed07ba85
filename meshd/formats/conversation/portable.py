"""What a conversation has that only its own format can say: left out where it can be spared, else refused.

Every writer begins with it, so that nothing is lost silently.
"""

from __future__ import annotations

from hashlib import sha256

from msgspec.structs import replace

from meshd.formats.conversation.parts import Other, Part, Record
from meshd.formats.conversation.request import Conversation, Tool
from modelmesh.errors import InvalidRequestError

_APIS = {
    "openai": "OpenAI's chat API",
    "responses": "the Responses API",
    "anthropic": "Anthropic's API",
    "bedrock": "Bedrock's Converse API",
    "cohere": "Cohere's API",
    "gemini": "Gemini's API",
}


def portable(conversation: Conversation, format: str) -> Conversation:
    """The conversation for a writer of that format. Raises InvalidRequestError, which names the field."""
    parameters = conversation.parameters
    if not _is_of(parameters, format):
        if parameters.previous:
            raise _refused("previous_response_id")
        for name in parameters.bound:
            raise _refused(name)
    if not _has_other(conversation):
        return conversation
    tools = tuple(tool for tool in conversation.tools if _is_kept(tool, format, "tools"))
    turns = []
    for turn in conversation.turns:
        parts = tuple(part for part in turn.parts if _is_kept(part, format, "messages"))
        if len(parts) == len(turn.parts):
            turns.append(turn)
        elif parts:
            turns.append(replace(turn, parts=parts))
    return replace(conversation, tools=tools, turns=tuple(turns))


def _has_other(conversation: Conversation) -> bool:
    for tool in conversation.tools:
        if isinstance(tool, Other):
            return True
    for turn in conversation.turns:
        for part in turn.parts:
            if isinstance(part, Other):
                return True
    return False


def _is_of(record: Record, format: str) -> bool:
    return record.original is None or record.original.format == format


def _is_kept(part: Part | Tool, format: str, where: str) -> bool:
    if not isinstance(part, Other) or (part.original is not None and part.original.format == format):
        return True
    if part.spare:
        return False
    where = "input" if where == "messages" and part.original and part.original.format == "responses" else where
    kind = f"`{part.kind}`" if part.kind else "something"
    raise InvalidRequestError(
        f"`{where}` contains {kind}, which the API of this model's provider ({_APIS.get(format, format)}) lacks; leave"
        " it out, or ask another model",
        param=where,
        code="unsupported_parameter",
    )


def _refused(name: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"`{name}` is not possible with this model: it refers to something that only another provider has",
        param=name,
        code="unsupported_parameter",
    )


def user_id(user: str, longest: int) -> str | None:
    """The user, for an API that takes so many characters, at least 64. A longer one, as Claude Code sends, becomes its
    digest: it has to be the same each time, and nothing else. None if there is none."""
    return (user if len(user) <= longest else sha256(user.encode(errors="replace")).hexdigest()) or None
