"""Reasoning in messages of OpenAI's format, which has no field for it: servers added several.

The text is in `reasoning_content` or a field like it (`sdk/reading/message_content.py` knows them). What a provider
needs back, signatures and encrypted parts, is in `reasoning_details` (OpenRouter) or `thinking_blocks` (LiteLLM); the
first is what is written here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from meshd.formats.conversation.parts import Part, Reasoning
from meshd.formats.conversation.reading import Fields
from meshd.sdk.reading.message_content import REASONING, thought

_TEXT = "reasoning_content"
DETAILS = "reasoning_details"
_FIELDS = frozenset({*REASONING, DETAILS, "thinking_blocks"})


def reasoning_in(message: Mapping[str, Any]) -> list[Reasoning]:
    """What a message says; nothing is taken from it."""
    if _FIELDS.isdisjoint(message):
        return []
    found = [part for name in (DETAILS, "thinking_blocks") for part in _listed(message.get(name))]
    if any(part.text for part in found):
        return found
    text = next((text for name in REASONING if (text := thought(message.get(name)))), "")
    signed = [n for n, part in enumerate(found) if part.signature or part.id]
    if text and len(signed) == 1:  # a stream's came apart from its text
        return [replace(part, text=text) if n in signed else part for n, part in enumerate(found)]
    return [Reasoning(text), *found] if text else found


def taken_reasoning(message: Fields) -> list[Reasoning]:
    """What an answer's message says; its fields are taken if a writer would write the same."""
    found = reasoning_in(message.left)
    if not found and _FIELDS.isdisjoint(message.left):
        return []
    said = {name: message.left[name] for name in REASONING if name in message.left}
    if said == written_reasoning(found):
        for name in said:
            del message.left[name]
    return found


def _listed(entries: Any) -> Iterable[Reasoning]:
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict):
            continue
        text = _text(entry, "text") or _text(entry, "summary") or _text(entry, "thinking")
        signature, encrypted = _text(entry, "signature"), _text(entry, "data")
        if text or signature or encrypted:
            yield Reasoning(text, signature, encrypted, _text(entry, "id"))


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    return value if isinstance(value, str) else ""


def written_reasoning(parts: Iterable[Part]) -> dict[str, Any]:
    """Fields of a message or a delta."""
    found = [part for part in parts if isinstance(part, Reasoning)]
    said: dict[str, Any] = {}
    if text := "".join(part.text for part in found):
        said[_TEXT] = text
    if any(part.signature or part.encrypted for part in found):
        said[DETAILS] = [_written(part) for part in found]
    return said


def _written(part: Reasoning) -> dict[str, Any]:
    if part.encrypted:
        made = {"type": "reasoning.encrypted", "data": part.encrypted}
    else:
        made = {"type": "reasoning.text", "text": part.text}
    if part.encrypted and part.text:
        made["text"] = part.text
    if part.signature:
        made["signature"] = part.signature
    return made | ({"id": part.id} if part.id else {})
