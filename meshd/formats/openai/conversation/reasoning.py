"""Reasoning in messages of OpenAI's format, which has no field for it: servers added several.

The text is in `reasoning_content` or a field like it (`sdk/reading/message_content.py` knows them). What a provider
needs back, signatures and encrypted parts, is in `reasoning_details` (OpenRouter) or `thinking_blocks` (LiteLLM); the
first is what is written here. In a stream it has the text as well: the pieces of one thought have the same `index`, and
its signature comes last. Some apps join them, others send back the list of all pieces.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from meshd.formats.conversation.parts import Part, Reasoning
from meshd.formats.conversation.reading import Fields
from meshd.sdk.reading.message_content import REASONING, thought

TEXT = "reasoning_content"
DETAILS = "reasoning_details"
_FIELDS = frozenset({*REASONING, DETAILS, "thinking_blocks"})


def reasoning_in(message: Mapping[str, Any]) -> list[Reasoning]:
    """The reasoning in a message; its fields stay."""
    return [part for _, part in numbered_in(message)]


def numbered_in(message: Mapping[str, Any]) -> list[tuple[int, Reasoning]]:
    """The same for a message or a delta, each thought with the number that identifies it; 0 if it has none."""
    if _FIELDS.isdisjoint(message):
        return []
    found = [each for name in (DETAILS, "thinking_blocks") for each in _listed(message.get(name))]
    if any(part.text for _, part in found):
        return found
    text = next((text for name in REASONING if (text := thought(message.get(name)))), "")
    signed = [n for n, (_, part) in enumerate(found) if part.signature or part.id]
    if text and len(signed) == 1:  # in a stream, the signature came separately from the text
        return [(index, replace(part, text=text) if n in signed else part) for n, (index, part) in enumerate(found)]
    return [(0, Reasoning(text)), *found] if text else found


def taken_reasoning(message: Fields) -> list[Reasoning]:
    """The reasoning in an answer's message; its fields are taken if a writer would write the same."""
    found = reasoning_in(message.left)
    if not found and _FIELDS.isdisjoint(message.left):
        return []
    said = {name: message.left[name] for name in REASONING if name in message.left}
    if said == written_reasoning(found):
        for name in said:
            del message.left[name]
    return found


def _listed(entries: Any) -> list[tuple[int, Reasoning]]:
    """Pieces that follow each other with the same index are one thought, until its signature."""
    thoughts: list[tuple[int, list[Reasoning]]] = []
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict):
            continue
        text = _text(entry, "text") or _text(entry, "summary") or _text(entry, "thinking")
        signature, encrypted, id = _text(entry, "signature"), _text(entry, "data"), _text(entry, "id")
        if not (text or signature or encrypted):
            continue
        part, index = Reasoning(text, signature, encrypted, id), entry.get("index")
        before, pieces = thoughts[-1] if thoughts else (None, [])
        if type(index) is int and index == before and not (pieces[-1].signature or pieces[-1].encrypted):
            pieces.append(part)
        else:
            thoughts.append((index if type(index) is int else 0, [part]))
    return [(index, _joined(pieces)) for index, pieces in thoughts]


def _joined(pieces: list[Reasoning]) -> Reasoning:
    id = next((piece.id for piece in pieces if piece.id), "")
    return replace(pieces[-1], text="".join(piece.text for piece in pieces), id=id)


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    return value if isinstance(value, str) else ""


def written_reasoning(parts: Iterable[Part]) -> dict[str, Any]:
    """Fields of a message or a delta."""
    found = [part for part in parts if isinstance(part, Reasoning)]
    said: dict[str, Any] = {}
    if text := "".join(part.text for part in found):
        said[TEXT] = text
    if any(part.signature or part.encrypted for part in found):
        said[DETAILS] = [written_detail(part) for part in found]
    return said


def written_detail(part: Reasoning) -> dict[str, Any]:
    """An entry of the list."""
    if part.encrypted:
        made = {"type": "reasoning.encrypted", "data": part.encrypted}
    else:
        made = {"type": "reasoning.text", "text": part.text}
    if part.encrypted and part.text:
        made["text"] = part.text
    if part.signature:
        made["signature"] = part.signature
    return made | ({"id": part.id} if part.id else {})
