"""The parts of a conversation that only its own format can express: left out if they can be spared, else refused.

Every writer begins with it, so that nothing is lost silently.
"""

from __future__ import annotations

from hashlib import sha256

from msgspec.structs import replace

from meshd.formats.conversation.parts import Other, Part, Record
from meshd.formats.conversation.request import Conversation, Tool
from meshd.formats.known import FORMATS
from modelmesh.errors import InvalidRequestError


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
        parts = tuple(part for part in turn.parts if _is_kept(part, format))
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


def _is_kept(part: Part | Tool, format: str, where: str = "") -> bool:
    """where: the field of the app's request; "": the one with the conversation."""
    if not isinstance(part, Other) or (part.original is not None and part.original.format == format):
        return True
    if part.spare:
        return False
    if not where:
        where = FORMATS[part.original.format].turns if part.original else "messages"
    kind = f"`{part.kind}`" if part.kind else "something"
    raise InvalidRequestError(
        f"`{where}` contains {kind}, which the API of this model's provider ({FORMATS[format].api}) lacks; leave"
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
    """The user, for an API that takes that many characters, at least 64. A longer name, such as Claude Code sends, is
    replaced by its digest: all that matters is that it is the same each time. None if there is none."""
    return (user if len(user) <= longest else sha256(user.encode(errors="replace")).hexdigest()) or None
