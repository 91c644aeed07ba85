"""A message of the model as an answer.

What a provider sends is read as far as it goes: `formats/bedrock/answer.py` has judged whether it is an answer.
"""

from __future__ import annotations

from typing import Any

from meshd.formats.bedrock.conversation.content import read_blocks
from meshd.formats.bedrock.usage import usage_in
from meshd.formats.conversation.answer import Answer, Choice, Finish
from meshd.formats.conversation.reading import Unreadable, answer_of, not_too_deep

_FINISHES = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.SEQUENCE,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.CONTEXT,
    "tool_use": Finish.TOOL_CALLS,
    "guardrail_intervened": Finish.FILTER,
    "content_filtered": Finish.FILTER,
}


@not_too_deep(Unreadable, "it")
def read_answer(body: bytes) -> Answer:
    """It has neither an id nor the model's name. Raises Unreadable."""
    document = answer_of(body)
    output = document.get("output")
    message = output.get("message") if isinstance(output, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    parts = read_blocks(content if isinstance(content, list) else [])
    choice = Choice(parts, read_finish(document.get("stopReason")))
    return Answer((choice,), usage=usage_in(document.get("usage")))


def read_finish(reason: Any) -> Finish | None:
    return _FINISHES.get(reason, Finish.OTHER) if isinstance(reason, str) and reason else None
