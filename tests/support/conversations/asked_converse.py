"""What a provider of the Converse API was asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tests.support.conversations.drawn import SCHEMA, exactly
from tests.support.formats.openai_chats import Json


def tools_of(names: Iterable[str]) -> list[Json]:
    return [{"toolSpec": {"name": name, "inputSchema": {"json": SCHEMA}}} for name in names]


def meant(asked: Json) -> Iterator[Any]:
    """See `asked.py`."""
    if system := [block["text"] for block in asked.get("system", ())]:
        yield "system", "".join(system)
    before = "assistant"
    for message in asked["messages"]:
        assert message["role"] != before, "roles alternate"
        before = message["role"]
        for block in message["content"]:
            yield _fact(before, block)


def _fact(role: str, block: Json) -> Any:
    match block:
        case {"toolUse": used}:
            return "call", used["toolUseId"], used["name"], exactly(used["input"])
        case {"toolResult": result}:
            content = [_said(each) for each in result["content"]]
            return "result", result["toolUseId"], content, result.get("status") == "error"
        case {"reasoningContent": {"reasoningText": thought}}:
            return "thought", thought["text"], thought["signature"]
        case {"reasoningContent": {"redactedContent": sealed}}:
            return "thought", "", sealed
    return role, _said(block)


def _said(block: Json) -> Any:
    if "text" in block:
        return block["text"]
    image = block["image"]
    return "image", f"data:image/{image['format']};base64,{image['source']['bytes']}"
