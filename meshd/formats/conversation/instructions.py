"""Instructions, for chat servers that take them only as the first message.

The templates of many open models (Qwen, Llama, Gemma) refuse a system message elsewhere, or a second one, and do not
know the role `developer`. Agents send both: Claude Code reminds its model between turns, and Codex sends developer
messages after its `instructions`.
"""

from __future__ import annotations

from msgspec.structs import replace

from meshd.formats.conversation.parts import Part, Text
from meshd.formats.conversation.request import Conversation, Role, Turn

_GIVEN = frozenset({Role.SYSTEM, Role.DEVELOPER})
_BEGIN, _END = "<system-reminder>\n", "\n</system-reminder>"  # as agents mark them for their models


def with_instructions_first(conversation: Conversation) -> Conversation:
    """The same with one system turn at most, the first. Later instructions move into the user's turn before them, in a
    tag, so that earlier turns do not change and stay in the provider's prompt cache."""
    turns = conversation.turns
    if turns and turns[0].role is not Role.DEVELOPER and all(turn.role not in _GIVEN for turn in turns[1:]):
        return conversation
    later = next((n for n, turn in enumerate(turns) if turn.role not in _GIVEN), len(turns))
    first = turns[:later]
    if len(first) > 1 or any(turn.role is Role.DEVELOPER for turn in first):
        first = (Turn(Role.SYSTEM, tuple(part for turn in first for part in turn.parts)),)
    made = list(first)
    for turn in turns[later:]:
        if turn.role not in _GIVEN:
            made.append(turn)
        elif made[-1].role is Role.USER:
            made[-1] = replace(made[-1], parts=(*made[-1].parts, *_tagged(turn)), original=None)
        else:
            made.append(Turn(Role.USER, _tagged(turn)))
    return replace(conversation, turns=tuple(made))


def _tagged(turn: Turn) -> tuple[Part, ...]:
    """The instructions in a tag; if they are one text, the tag is inside that text."""
    text = turn.parts[0] if len(turn.parts) == 1 else None
    if isinstance(text, Text):
        return (replace(text, text=f"{_BEGIN}{text.text}{_END}", original=None),)
    return (Text(_BEGIN), *turn.parts, Text(_END))
