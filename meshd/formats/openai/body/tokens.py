"""Counting the tokens of a request in OpenAI's format with its model's vocabulary.

Owns: which text of a body is counted, and what the chat format adds.
Must never: load a vocabulary (`meshd/gateway/requests/token_counting.py`), or count fewer tokens than the
provider will.

What OpenAI adds to the text of messages is published for messages and names (3 tokens a message, 3 that prime the
answer, 1 for a name: its cookbook's "How to count tokens with tiktoken"), and only measured for tools and the rest:
https://community.openai.com/t/strange-token-cost-calculation-for-tool-calls/538914. Those are never too low: anything
but plain text is counted as the JSON in which it is sent, which has more tokens than the format that the model sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.formats.protocol import Count
from meshd.sdk.calls.operation import OperationSpec

PRIMING = 3
PER_MESSAGE = 3
PER_NAME = 1
PER_CALLS = 32  # of a message with tool calls: 24 more were measured for several at once
PER_TOOLS = 16  # for the namespace that functions are listed in
PER_TOOL = 8
PER_FORMAT = 32  # for what introduces a JSON schema to the model

_NOT_TEXT = frozenset({"image_url", "input_image", "image", "input_audio", "audio_url", "input_file", "file",
                       "document", "document_url", "video_url", "input_video"})  # fmt: skip
_TEXT = frozenset({"text", "input_text", "output_text", "refusal"})


def count(operation: OperationSpec, fields: Mapping[str, msgspec.Raw], tokens: Count) -> int:
    """The tokens of a request's text, at most; `RequestNeeds.images` and `RequestNeeds.attached` count the rest."""
    if operation.conversation:
        return _chat(fields, tokens)
    return sum(_texts(value_of(fields, name), tokens) for name in operation.text if name in fields)


def _chat(fields: Mapping[str, msgspec.Raw], tokens: Count) -> int:
    messages = value_of(fields, "messages")
    total = PRIMING
    if isinstance(messages, list):
        for message in messages:
            total += PER_MESSAGE + _message(message, tokens)
    elif messages is not None:
        total += json_tokens(messages, tokens)
    for name in ("tools", "functions"):
        listed = value_of(fields, name)
        if listed:
            each = len(listed) if isinstance(listed, list) else 1
            total += PER_TOOLS + PER_TOOL * each + json_tokens(listed, tokens)
    for name in ("response_format", "prediction", "function_call", "tool_choice", "web_search_options"):
        value = value_of(fields, name)
        if isinstance(value, dict):
            total += PER_FORMAT + json_tokens(value, tokens)
    return total


def _message(message: Any, tokens: Count) -> int:
    if not isinstance(message, dict):
        return json_tokens(message, tokens)
    total = 0
    for name, value in message.items():
        if value is None:
            continue
        if name == "content":
            total += content_tokens(value, tokens)
        elif isinstance(value, str):
            total += tokens(value) + (PER_NAME if name != "role" else 0)
        elif name == "audio":  # an earlier answer's, by its id
            total += PER_NAME
        else:
            total += PER_CALLS + json_tokens(value, tokens)
    return total


def content_tokens(content: Any, tokens: Count) -> int:
    if isinstance(content, str):
        return tokens(content)
    if not isinstance(content, list):
        return json_tokens(content, tokens)
    total = 0
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        kind = kind if isinstance(kind, str) else None
        if kind in _NOT_TEXT:
            continue
        text = part.get("text", part.get("refusal")) if kind in _TEXT else None
        total += tokens(text) if isinstance(text, str) else json_tokens(part, tokens)
    return total


def _texts(value: Any, tokens: Count) -> int:
    """Tokens of a prompt or input: a text, tokens as numbers, or a list of either."""
    if isinstance(value, str):
        return tokens(value)
    if isinstance(value, int):
        return 1
    if isinstance(value, list):
        return sum(_texts(entry, tokens) for entry in value)
    return 0 if value is None else json_tokens(value, tokens)


def json_tokens(value: Any, tokens: Count) -> int:
    return tokens(msgspec.json.encode(value).decode())


def value_of(fields: Mapping[str, msgspec.Raw], name: str) -> Any:
    return msgspec.json.decode(fields[name]) if name in fields else None
