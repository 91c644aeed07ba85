"""Messages and the system prompt as turns, and turns as messages and a system prompt.

One message is one turn; a user's message with results of tools in it is a turn of the role TOOL. Instructions are
separate from the messages: those that other formats have between the turns are added at their end.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from meshd.formats.anthropic.conversation.content import (
    FORMAT,
    read_content,
    refused,
    written_blocks,
    written_content,
)
from meshd.formats.conversation.parts import Part, Refusal, Text, ToolResult
from meshd.formats.conversation.reading import Fields, as_it_came
from meshd.formats.conversation.request import Role, Turn
from meshd.formats.conversation.tools.call_ids import with_ids
from meshd.formats.conversation.tools.results import results_first, rounds

_ROLES = {"user": Role.USER, "assistant": Role.ASSISTANT, "system": Role.SYSTEM}
_INSTRUCTS = (Role.SYSTEM, Role.DEVELOPER)
_NOT_OF_AN_ID = re.compile(r"[^A-Za-z0-9_-]")
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def read_turn(fields: Fields) -> Turn:
    """A message. Raises InvalidRequestError if the fields are strict."""
    role = fields.take("role")
    known = _ROLES.get(role) if isinstance(role, str) else None
    if known is None:
        fields.refuse("role", f"one of {', '.join(_ROLES)}")
        known = Role.ASSISTANT
    parts = read_content(fields)
    if any(isinstance(part, ToolResult) for part in parts):
        if known is Role.USER:
            known = Role.TOOL
        else:
            fields.odd()
    if known is Role.SYSTEM:
        fields.odd()  # to tell it from the system prompt
    return Turn(known, tuple(parts), original=fields.original())


def read_system(fields: Fields) -> Turn:
    """The system prompt, as the only field of an object."""
    parts = read_content(fields, "system")
    if not all(isinstance(part, Text) for part in parts):
        fields.odd()
    return Turn(Role.SYSTEM, tuple(parts), original=fields.original())


def written_turns(turns: Sequence[Turn]) -> dict[str, Any]:
    """`system`, if there is one, and `messages`. Raises InvalidRequestError for what cannot be said."""
    turns = with_ids(turns, _NOT_OF_AN_ID)
    system = [turn for turn in turns if turn.role in _INSTRUCTS and not _is_message(turn)]
    made: dict[str, Any] = {}
    if len(system) == 1:
        written = as_it_came(system[0], _system(system), FORMAT, read_system)
        made |= _object(written) if isinstance(written, msgspec.Raw) else written
    elif system:
        made |= _system(system)
    made["messages"] = _messages([turn for turn in turns if turn.role not in _INSTRUCTS or _is_message(turn)])
    return made


def _is_message(turn: Turn) -> bool:
    """Whether instructions came as a message, between others."""
    original = turn.original
    return original is not None and original.format == FORMAT and "role" in _object(original.json)


def _system(turns: Sequence[Turn]) -> dict[str, Any]:
    parts = [part for turn in turns for part in turn.parts]
    if any(not isinstance(part, Text | Refusal) for turn in turns if not _is_ours(turn) for part in turn.parts):
        raise refused("anything but text in a system prompt", "messages")
    content = written_content(parts)
    return {"system": content} if content else {}


def _messages(turns: Sequence[Turn]) -> list[Any]:
    """Results of parallel calls, for which other formats have one message each, belong in one message."""
    messages: list[Any] = []
    for turn, *others in rounds(turns):
        if others:
            parts = [part for each in (turn, *others) for part in each.parts]
            messages.append({"role": "user", "content": written_blocks(results_first(parts))})
        else:
            content = written_content(_without_end(turn) if turn is turns[-1] else turn.parts)
            made = {"role": _role(turn), "content": content}
            if content or _is_ours(turn):
                messages.append(as_it_came(turn, made, FORMAT, read_turn))
    return messages


def _is_ours(turn: Turn) -> bool:
    return turn.original is not None and turn.original.format == FORMAT


def _role(turn: Turn) -> str:
    if turn.role in _INSTRUCTS:
        return "system"
    return "assistant" if turn.role is Role.ASSISTANT else "user"


def _without_end(turn: Turn) -> tuple[Part, ...]:
    """If the last turn is the assistant's, it may not end in white space."""
    if turn.role is not Role.ASSISTANT or not turn.parts or not isinstance(last := turn.parts[-1], Text):
        return turn.parts
    return (*turn.parts[:-1], replace(last, text=last.text.rstrip())) if last.original is None else turn.parts
