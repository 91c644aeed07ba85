"""Counting the tokens of a request to the Responses API with its model's vocabulary.

Owns: which text of a body is counted. The additions to the text are those of the chat format
(`formats/openai/body/tokens.py`), since the same models read it.
Must never: load a vocabulary, or count fewer tokens than the provider will.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.formats.openai.body.tokens import (
    PER_CALLS,
    PER_FORMAT,
    PER_MESSAGE,
    PER_NAME,
    PER_TOOL,
    PER_TOOLS,
    PRIMING,
    content_tokens,
    json_tokens,
    value_of,
)
from meshd.formats.protocol import Count
from meshd.sdk.calls.operation import OperationSpec

_NOT_TEXT = ("id", "status", "type")
_CONTENTS = ("content", "output", "summary")


def count(operation: OperationSpec, fields: Mapping[str, msgspec.Raw], tokens: Count) -> int:
    """The tokens of a request's text, at most; `RequestNeeds.images` and `RequestNeeds.attached` count the rest."""
    total = PRIMING
    for name in ("instructions", "input"):
        value = value_of(fields, name)
        if isinstance(value, list):
            total += sum(PER_MESSAGE + _item(item, tokens) for item in value)
        elif value is not None:
            total += PER_MESSAGE + PER_NAME + content_tokens(value, tokens)
    listed = value_of(fields, "tools")
    if listed:
        total += PER_TOOLS + PER_TOOL * _tools(listed) + json_tokens(listed, tokens)
    for name in ("text", "tool_choice", "prompt"):
        value = value_of(fields, name)
        if isinstance(value, dict):
            total += PER_FORMAT + json_tokens(value, tokens)
    return total


def _tools(listed: Any) -> int:
    """The number of tools, including those of namespaces."""
    if not isinstance(listed, list):
        return 1
    inside = (each.get("tools") for each in listed if isinstance(each, dict))
    return len(listed) + sum(len(each) for each in inside if isinstance(each, list))


def _item(item: Any, tokens: Count) -> int:
    if not isinstance(item, dict):
        return json_tokens(item, tokens)
    total = 0 if item.get("type", "message") == "message" else PER_CALLS
    for name, value in item.items():
        if value is None or name in _NOT_TEXT:
            continue
        if name in _CONTENTS:
            total += content_tokens(value, tokens)
        elif isinstance(value, str):
            total += tokens(value) + (PER_NAME if name != "role" else 0)
        else:
            total += json_tokens(value, tokens)
    return total
