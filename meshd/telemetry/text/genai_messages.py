"""A request's content as the messages that OpenTelemetry's conventions for generative AI have for it
(https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/gen-ai-input-messages.json, and
gen-ai-output-messages.json; read on 28 November 2026).

Owns: their form. Must never: shorten or mask what they say (`content.py` does).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from meshd.core.events.content import Content
from meshd.formats.conversation.answer import Choice, Finish
from meshd.formats.conversation.parts import Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from meshd.formats.lookup import app_format
from meshd.operations.known import OPERATIONS

_FINISHES = {
    Finish.SEQUENCE: "stop",
    Finish.CONTEXT: "length",
    Finish.TOOL_CALLS: "tool_call",
    Finish.FILTER: "content_filter",
    Finish.REFUSAL: "content_filter",
    Finish.PAUSE: "stop",
    Finish.OTHER: "error",
}


def of_prompt(content: Content) -> list[dict[str, Any]]:
    """Empty for a request that is not a conversation, or cannot be read."""
    if not OPERATIONS[content.operation].conversation:
        return []
    try:
        turns = app_format(content.format).translator().read_request(content.prompt).turns
    except Exception:
        # Refused, or longer than what is held.
        return []
    return [{"role": turn.role.value, "parts": _parts(turn.parts)} for turn in turns]


def of_answer(content: Content, answer: bytes) -> list[dict[str, Any]]:
    """One message a choice. Empty for what is not a conversation's answer."""
    if not answer or not OPERATIONS[content.operation].conversation:
        return []
    try:
        choices = app_format(content.format).translator().read_answer(answer).choices
    except Exception:
        # An error, or only the beginning of a long answer.
        return []
    return [_message(choice) for choice in choices]


def _message(choice: Choice) -> dict[str, Any]:
    ended = choice.finish or Finish.OTHER
    reason = _FINISHES.get(ended, ended.value)
    return {"role": "assistant", "parts": _parts(choice.parts), "finish_reason": reason}


def _parts(parts: Iterable[Part]) -> list[dict[str, Any]]:
    return [_part(part) for part in parts]


def _part(part: Part) -> dict[str, Any]:
    match part:
        case Text() | Refusal():
            return {"type": "text", "content": part.text}
        case Reasoning():
            return {"type": "reasoning", "content": part.text}
        case ToolCall():
            return {"type": "tool_call", "id": part.id, "name": part.name, "arguments": part.arguments}
        case ToolResult():
            return {"type": "tool_call_response", "id": part.call, "response": _parts(part.parts)}
    return {"type": type(part).__name__.lower()}  # media, whose bytes do not belong into a trace
