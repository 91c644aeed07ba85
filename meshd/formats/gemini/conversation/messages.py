"""Contents and the system instruction as turns, and turns as contents and a system instruction.

One content is one turn; a user's content with responses of functions in it is a turn of the role TOOL. Responses name
their function, which results of other formats do not: it is that of the call. The signature of a thought goes to the
part that follows from it, which is a call if there are any, else the last text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from meshd.formats.conversation.parts import Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from meshd.formats.conversation.reading import Fields, as_it_came
from meshd.formats.conversation.request import Role, Turn
from meshd.formats.conversation.tools.results import results_first, rounds
from meshd.formats.gemini.body.reasoning import UNSIGNED
from meshd.formats.gemini.conversation.content import (
    FORMAT,
    camelled,
    read_parts,
    refused,
    written_parts,
)
from meshd.formats.gemini.versions import needs_signatures

_ROLES = {"user": Role.USER, "model": Role.ASSISTANT, "function": Role.TOOL, "tool": Role.TOOL}
_INSTRUCTS = (Role.SYSTEM, Role.DEVELOPER)


def read_turn(fields: Fields) -> Turn:
    """A content. Raises InvalidRequestError if the fields are strict."""
    camelled(fields)
    role = fields.take("role")
    known = _ROLES.get(role) if isinstance(role, str) else None
    if known is None:
        if role:
            fields.refuse("role", "one of user, model")
        fields.odd()
        known = Role.USER
    parts = read_parts(fields)
    if known is Role.ASSISTANT and len(joined := _joined(parts)) < len(parts):
        fields.odd()
        parts = joined
    if any(isinstance(part, Reasoning) for part in parts):
        fields.odd()  # to tell it from another provider's
    results = any(isinstance(part, ToolResult) for part in parts)
    if results and known is Role.USER:
        known = Role.TOOL
    elif results is not (known is Role.TOOL) or role in ("function", "tool") or not parts:
        fields.odd()
    return Turn(known, tuple(parts), original=fields.original())


def _joined(parts: Sequence[Part]) -> list[Part]:
    """The parts, in which the pieces of a streamed text are joined, as apps send them back; likewise those of a
    thought, whose signature came last."""
    made: list[Part] = []
    for part in parts:
        last = made[-1] if made else None
        joins = type(part) is type(last) and not (_signature(last) or getattr(last, "encrypted", ""))
        if joins and isinstance(part, Text | Reasoning) and isinstance(last, Text | Reasoning):
            made[-1] = replace(part, text=last.text + part.text, original=None)
        else:
            made.append(part)
    return made


def read_system(fields: Fields) -> Turn:
    """The system instruction; its role does not matter."""
    camelled(fields)
    if fields.take("role") is not None:
        fields.odd()
    parts = read_parts(fields)
    if not parts or not all(isinstance(part, Text) for part in parts):
        fields.odd()
    return Turn(Role.SYSTEM, tuple(parts), original=fields.original())


def written_turns(turns: Sequence[Turn], model: str) -> dict[str, Any]:
    """`systemInstruction`, if there is one, and `contents`. Raises InvalidRequestError for what cannot be said."""
    system = [turn for turn in turns if turn.role in _INSTRUCTS]
    made: dict[str, Any] = {}
    if len(system) == 1:
        instruction = as_it_came(system[0], _system(system), FORMAT, read_system)
        made = {"systemInstruction": instruction} if instruction != {"parts": []} else {}
    elif parts := _system(system)["parts"]:
        made = {"systemInstruction": {"parts": parts}}
    rest = _named([turn for turn in turns if turn.role not in _INSTRUCTS])
    return {**made, "contents": _contents(rest, model)}


def _system(turns: Sequence[Turn]) -> dict[str, Any]:
    parts = [part for turn in turns for part in turn.parts]
    if any(not isinstance(part, Text | Refusal) for turn in turns if not _is_ours(turn) for part in turn.parts):
        raise refused("anything but text in a system prompt", "messages")
    return {"parts": written_parts(parts)}


def _is_ours(turn: Turn) -> bool:
    return turn.original is not None and turn.original.format == FORMAT


def _named(turns: Sequence[Turn]) -> list[Turn]:
    """The turns, in which each result has the name of the call that it answers, matched by id, else by order."""
    if all(not isinstance(part, ToolResult) or part.name for turn in turns for part in turn.parts):
        return list(turns)
    names: dict[str, str] = {}
    waiting: list[str] = []

    def named(part: Part) -> Part:
        if isinstance(part, ToolCall):
            names[part.id] = part.name
            waiting.append(part.name)
        if isinstance(part, ToolResult) and not part.name:
            name = (names.get(part.call) if part.call else None) or (waiting.pop(0) if waiting else "unknown")
            return replace(part, name=name, original=None)
        return part

    made: list[Turn] = []
    for turn in turns:
        if turn.role is not Role.TOOL:
            waiting.clear()
        parts = tuple(map(named, turn.parts))
        made.append(turn if parts == turn.parts else replace(turn, parts=parts))
    return made


def _contents(turns: Sequence[Turn], model: str) -> list[Any]:
    """Results of parallel calls, for which other formats have one message each, belong in one content."""
    contents: list[Any] = []
    for turn, *others in rounds(turns):
        if others:
            parts = [part for each in (turn, *others) for part in each.parts]
            contents.append({"role": "user", "parts": written_parts(results_first(parts))})
        else:
            said = _said(turn, model) if turn.role is Role.ASSISTANT else written_parts(turn.parts)
            made = {"role": "model" if turn.role is Role.ASSISTANT else "user", "parts": said}
            if said or _is_ours(turn):
                contents.append(as_it_came(turn, made, FORMAT, read_turn))
    return contents


def _said(turn: Turn, model: str) -> list[Any]:
    """The parts of an assistant's turn. Thoughts without a signature are another provider's, and left out."""
    if _is_ours(turn) or all(isinstance(part, Text | Refusal) for part in turn.parts):
        return written_parts(turn.parts)
    parts = _with_signatures(turn.parts)
    calls = [n for n, part in enumerate(parts) if isinstance(part, ToolCall)]
    if calls and needs_signatures(model) and not _signature(parts[calls[0]]):
        parts[calls[0]] = _with_signature(parts[calls[0]], UNSIGNED)
    if not any(_signature(part) not in ("", UNSIGNED) for part in parts):
        parts = [part for part in parts if not isinstance(part, Reasoning)]
    return written_parts([part for part in parts if not isinstance(part, Reasoning) or part.text])


def _with_signatures(parts: Sequence[Part]) -> list[Part]:
    """Signatures of other formats' thoughts move to the part where Gemini expects them."""
    made: list[Part] = []
    signature = ""
    for part in parts:
        if isinstance(part, Reasoning):
            signature = part.signature or signature
            part = Reasoning(part.text)
        elif isinstance(part, ToolCall):
            if not part.signature and signature:
                part = _with_signature(part, signature)
            signature = ""
        made.append(part)
    if not signature:
        return made
    last = next((n for n in range(len(made) - 1, -1, -1) if isinstance(made[n], Text)), None)
    if last is None or _signature(made[last]):
        return [*made, Text("", signature=signature)]
    made[last] = _with_signature(made[last], signature)
    return made


def _signature(part: Part | None) -> str:
    return part.signature if isinstance(part, Text | Reasoning | ToolCall) else ""


def _with_signature(part: Part, signature: str) -> Part:
    if isinstance(part, Text | ToolCall):
        return replace(part, signature=signature, original=None)
    return part
