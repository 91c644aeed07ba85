"""Counting the tokens of a request of the Messages API with its model's vocabulary.

Owns: which text of a body is counted, and what the format adds.
Must never: load a vocabulary (`meshd/gateway/requests/token_counting.py`), or count fewer tokens than the provider
will. What the format adds is not published, so OpenAI's published counts are used, and anything but plain text is
counted as the JSON in which it is sent. Claude's instructions for tools are not added (`core/needs.py`:
TOOLS_PREAMBLE): its vocabulary is not public, and a model with one gets those of its own server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.formats.openai.body.tokens import (
    PER_FORMAT,
    PER_MESSAGE,
    PER_TOOL,
    PER_TOOLS,
    PRIMING,
    json_tokens,
    value_of,
)
from meshd.formats.protocol import Count
from meshd.sdk.calls.operation import OperationSpec

_PER_BLOCK = 3
_NOT_TEXT = frozenset({"base64", "url", "file"})


def count(operation: OperationSpec, fields: Mapping[str, msgspec.Raw], tokens: Count) -> int:
    """The tokens of a request's text, at most; `RequestNeeds.images` and `RequestNeeds.attached` count the rest."""
    total = PRIMING + _content(value_of(fields, "system"), tokens)
    messages = value_of(fields, "messages")
    for message in messages if isinstance(messages, list) else ():
        total += PER_MESSAGE
        total += _content(message.get("content"), tokens) if isinstance(message, dict) else json_tokens(message, tokens)
    tools = value_of(fields, "tools")
    if tools:
        each = len(tools) if isinstance(tools, list) else 1
        total += PER_TOOLS + PER_TOOL * each + json_tokens(tools, tokens)
    for name in ("output_config", "output_format"):
        value = value_of(fields, name)
        if isinstance(value, dict):
            total += PER_FORMAT + json_tokens(value, tokens)
    return total


def _content(content: Any, tokens: Count) -> int:
    if content is None:
        return 0
    if isinstance(content, str):
        return tokens(content)
    if not isinstance(content, list):
        return json_tokens(content, tokens)
    return sum(_PER_BLOCK + _block(block, tokens) for block in content)


def _block(block: Any, tokens: Count) -> int:
    kind = block.get("type") if isinstance(block, dict) else None
    match kind:
        case "text" if isinstance(block.get("text"), str):
            return tokens(block["text"])
        case "image" | "document":
            source = block.get("source")
            how = source.get("type") if isinstance(source, dict) else None
            rest = {name: value for name, value in block.items() if name != "source"}
            if how == "content":
                return json_tokens(rest, tokens) + _content(source.get("content"), tokens)
            if isinstance(how, str) and how in _NOT_TEXT:
                return json_tokens(rest, tokens)
        case "tool_result":
            rest = {name: value for name, value in block.items() if name != "content"}
            return json_tokens(rest, tokens) + _content(block.get("content"), tokens)
    return json_tokens(block, tokens)
