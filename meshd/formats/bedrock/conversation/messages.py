"""Turns as `system` and `messages`.

The roles of messages alternate: neighbouring turns of one role are one message, and results of tools are a part of the
user's. Instructions are separate from the messages.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from meshd.formats.bedrock.conversation.content import ContentWriter
from meshd.formats.bedrock.conversation.refused import refused
from meshd.formats.conversation.parts import File, Image, Part, Reasoning, Refusal, Text
from meshd.formats.conversation.request import Role, Turn
from meshd.formats.conversation.tools.call_ids import with_ids
from meshd.formats.conversation.tools.results import results_first

_INSTRUCTS = (Role.SYSTEM, Role.DEVELOPER)
_NOT_OF_AN_ID = re.compile(r"[^A-Za-z0-9_.:-]")
_LONGEST_ID = 64


def written_turns(turns: Sequence[Turn], content: ContentWriter) -> dict[str, Any]:
    """`system`, if there is one, and `messages`. Raises InvalidRequestError for what cannot be said."""
    turns = with_ids(turns, _NOT_OF_AN_ID, _LONGEST_ID)
    instructions = [part for turn in turns if turn.role in _INSTRUCTS for part in turn.parts]
    if any(not isinstance(part, Text | Refusal) for part in instructions):
        raise refused("anything but text in a system prompt", "messages")
    messages: list[dict[str, Any]] = []
    for role, parts in _joined([turn for turn in turns if turn.role not in _INSTRUCTS]):
        if blocks := content.blocks(parts):
            _check(blocks)
            messages.append({"role": role, "content": blocks})
    made: dict[str, Any] = {"messages": messages}
    system = content.blocks(instructions)
    return made | ({"system": system} if system else {})


def _joined(turns: Sequence[Turn]) -> list[tuple[str, list[Part]]]:
    """Each message's role and parts. Raises InvalidRequestError."""
    joined: list[tuple[str, list[Part]]] = []
    for turn in turns:
        role = "assistant" if turn.role is Role.ASSISTANT else "user"
        parts = [*turn.parts]
        if role == "assistant" and any(isinstance(part, Image | File) for part in parts):
            raise refused("images and files in a turn of the assistant", "messages")
        if joined and joined[-1][0] == role:
            joined[-1][1].extend(parts)
        else:
            joined.append((role, parts))
    if joined and joined[-1][0] == "assistant":
        joined[-1] = ("assistant", _without_end(joined[-1][1]))
    return [(role, results_first(parts)) for role, parts in joined]


def _without_end(parts: list[Part]) -> list[Part]:
    """If the last turn is the assistant's, it may not end in white space."""
    last = next((at for at in range(len(parts) - 1, -1, -1) if not isinstance(parts[at], Reasoning)), None)
    if last is None or not isinstance(text := parts[last], Text):
        return parts
    return [*parts[:last], replace(text, text=text.text.rstrip()), *parts[last + 1 :]]


def _check(blocks: Sequence[dict[str, Any]]) -> None:
    """A document needs a text beside it."""
    if any("document" in block for block in blocks) and not any("text" in block for block in blocks):
        raise refused("a document without a text beside it", "messages")
