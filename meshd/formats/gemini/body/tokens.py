"""Counting the tokens of a request of the Gemini API with its model's vocabulary.

Owns: which text of a body is counted, and what the format adds.
Must never: load a vocabulary (`meshd/gateway/requests/token_counting.py`), or count fewer tokens than the provider
will. What the format adds is not published, so OpenAI's published counts are used, and anything but plain text is
counted as the JSON in which it is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.formats.gemini.body.values import CONTENTS, SYSTEM, TOOLS, config_of, listed, member, parts_of, value
from meshd.formats.openai.body.tokens import PER_FORMAT, PER_MESSAGE, PER_TOOL, PER_TOOLS, PRIMING, json_tokens
from meshd.formats.protocol import Count
from meshd.sdk.calls.operation import OperationSpec

_PER_PART = 3
_MEDIA = ("inlineData", "inline_data", "fileData", "file_data")
_RESULT = ("functionResponse", "function_response")
_SCHEMAS = ("responseJsonSchema", "responseSchema", "response_json_schema", "response_schema")


def count(operation: OperationSpec, fields: Mapping[str, msgspec.Raw], tokens: Count) -> int:
    """The tokens of a request's text, at most; `RequestNeeds.images` and `RequestNeeds.attached` count the rest."""
    total = PRIMING
    for names in (SYSTEM, CONTENTS):
        for content in listed(value(fields, names)):
            total += PER_MESSAGE + _content(content, tokens)
    tools = listed(value(fields, TOOLS))
    for tool in tools:
        declared = member(tool, "functionDeclarations", "function_declarations") if isinstance(tool, dict) else None
        total += PER_TOOL * max(len(listed(declared)), 1) + json_tokens(tool, tokens)
    schema = member(config_of(fields), *_SCHEMAS)
    return total + (PER_TOOLS if tools else 0) + (0 if schema is None else PER_FORMAT + json_tokens(schema, tokens))


def _content(content: Any, tokens: Count) -> int:
    if isinstance(content, str):
        return tokens(content)
    if not isinstance(content, dict):
        return json_tokens(content, tokens)
    return sum(_PER_PART + _part(part, tokens) for part in parts_of(content))


def _part(part: dict[str, Any], tokens: Count) -> int:
    text = part.get("text")
    if isinstance(text, str):
        return tokens(text)
    left = {name: each for name, each in part.items() if name not in _MEDIA}
    result = member(left, *_RESULT)
    if isinstance(result, dict):
        shown = {name: each for name, each in result.items() if name != "parts"}
        return json_tokens(shown, tokens)
    return json_tokens(left, tokens) if left else 0
