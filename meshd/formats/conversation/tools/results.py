"""Results of tools, in which formats differ: one message for all parallel calls or one for each; text only or anything.

Owns: where images and files of a result go if a result has to be text: into a user's message after the results of all
parallel calls, as no other message may come between these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from meshd.formats.conversation.parts import File, Image, Part, Text, ToolResult
from meshd.formats.conversation.request import Role, Turn

_KINDS: dict[type, str] = {Image: "image", File: "file"}


def rounds(turns: Sequence[Turn]) -> Iterator[Sequence[Turn]]:
    """Each turn alone, except that results of parallel calls, for which some formats have one message each, are
    together."""
    at = 0
    while at < len(turns):
        end = at + 1
        while turns[at].role is Role.TOOL and end < len(turns) and turns[end].role is Role.TOOL:
            end += 1
        yield turns[at:end]
        at = end


def results_first(parts: Sequence[Part]) -> list[Part]:
    results = [part for part in parts if isinstance(part, ToolResult)]
    return [*results, *(part for part in parts if not isinstance(part, ToolResult))]


def with_results_as_text(turns: Sequence[Turn], format: str) -> list[Turn]:
    """The same; turns that came in that format stay as they came."""
    made: list[Turn] = []
    shown: list[Part] = []  # from the previous results, in the order of their numbers
    for turn in turns:
        rest: tuple[Part, ...] = tuple(part for part in turn.parts if not isinstance(part, ToolResult))
        if turn.role is Role.TOOL and (turn.original is None or turn.original.format != format):
            results: tuple[Part, ...] = tuple(
                _as_text(part, shown) for part in turn.parts if isinstance(part, ToolResult)
            )
            if rest:
                rest, shown = (*shown, *rest), []
            turn = replace(turn, parts=(*results, *rest))
        elif shown and turn.role is Role.USER:
            turn, shown = replace(turn, parts=(*shown, *turn.parts), original=None), []
        elif shown and turn.role is not Role.TOOL:
            made.append(Turn(Role.USER, tuple(shown)))
            shown = []
        made.append(turn)
    return [*made, Turn(Role.USER, tuple(shown))] if shown else made


def _as_text(result: ToolResult, shown: list[Part]) -> ToolResult:
    """shown: anything that is not text is added to this list."""
    if not any(type(part) in _KINDS for part in result.parts):
        return result
    parts: list[Part] = []
    for part in result.parts:
        kind = _KINDS.get(type(part))
        if kind is None:
            parts.append(part)
            continue
        name = f"{kind} {len(shown) // 2 + 1}"
        parts.append(Text(f"[{name}: see the next message]"))
        shown += [Text(f"[{name}, from a tool]"), part]
    return replace(result, parts=tuple(parts), original=None)
