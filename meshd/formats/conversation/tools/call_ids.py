"""Ids of calls, for APIs that require an id for each call and allow few characters in it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from itertools import count

from msgspec.structs import replace

from meshd.formats.conversation.parts import Part, ToolCall, ToolResult
from meshd.formats.conversation.request import Turn

_HASHED = 16  # characters


def with_ids(turns: Sequence[Turn], others: re.Pattern[str], longest: int = 0) -> Sequence[Turn]:
    """The turns, with acceptable ids for all calls; unchanged if they have them. A call without an id gets one, and so
    does the next result without one (of the same tool, if it names the tool). others: characters that are not accepted.
    longest: 0 for no limit; a shortened id ends in a part of its hash, so that no two become the same."""
    calls = [part for turn in turns for part in turn.parts if isinstance(part, ToolCall)]
    results = [part for turn in turns for part in turn.parts if isinstance(part, ToolResult)]
    ids = (*(call.id for call in calls), *(result.call for result in results))
    if all(id and id == _valid(id, others, longest) for id in ids):
        return turns
    numbers, waiting = count(1), list[ToolCall]()

    def identified(part: Part) -> Part:
        if isinstance(part, ToolCall):
            call = replace(part, id=_valid(part.id, others, longest) or f"call_{next(numbers)}")
            if not part.id:
                waiting.append(call)
            return call
        if isinstance(part, ToolResult):
            if part.call:
                return replace(part, call=_valid(part.call, others, longest))
            answered = next((call for call in waiting if call.name == part.name), waiting[0] if waiting else None)
            if answered is not None:
                waiting.remove(answered)
            return replace(part, call=answered.id if answered else f"call_{next(numbers)}")
        return part

    return [replace(turn, parts=tuple(map(identified, turn.parts))) for turn in turns]


def _valid(id: str, others: re.Pattern[str], longest: int) -> str:
    made = others.sub("_", id)
    if not longest or len(made) <= longest:
        return made
    digest = hashlib.sha256(id.encode(errors="replace")).hexdigest()[:_HASHED]
    return f"{made[: longest - _HASHED]}{digest}"
