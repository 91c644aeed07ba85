"""What a provider of Cohere's API was asked, read by its own types; as in `asked.py`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from cohere.types import ChatMessageV2, Document, ResponseFormatV2, Thinking, ToolV2
from typing_extensions import TypedDict

from tests.support.conversations.drawn import exactly
from tests.support.formats.openai_chats import Json


class Params(TypedDict, total=False):
    """Of `ClientV2.chat`, which takes them one by one."""

    model: str
    messages: list[ChatMessageV2]
    tools: list[ToolV2]
    strict_tools: bool
    documents: list[str | Document]
    response_format: ResponseFormatV2
    max_tokens: int
    stop_sequences: list[str]
    temperature: float
    seed: int
    frequency_penalty: float
    presence_penalty: float
    k: int
    p: float
    tool_choice: str
    thinking: Thinking


def meant(asked: Json, content: Callable[[Any], list[Any]]) -> Iterator[Any]:
    """content: reads a text or blocks."""
    for message in asked["messages"]:
        role = message["role"]
        said = content(message.get("content"))
        if role == "tool":
            yield "result", message["tool_call_id"], said, False
        elif role == "system":
            yield "system", "".join(said)
        else:
            yield from ((role, fact) for fact in said)
        if plan := message.get("tool_plan"):
            yield role, plan
        for call in message.get("tool_calls", ()):
            yield "call", call["id"], call["function"]["name"], exactly(json.loads(call["function"]["arguments"]))
