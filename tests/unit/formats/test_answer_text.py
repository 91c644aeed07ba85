"""The text of a unary answer whose provider reported no tokens, in every format."""

from __future__ import annotations

import json
from typing import Any

import pytest

from meshd.formats.known import FORMATS
from meshd.formats.lookup import app_format

CALL = {"function": {"name": "f", "arguments": "{}"}}
MESSAGE = {"content": "a", "reasoning_content": "b", "refusal": None, "tool_calls": [CALL]}
BLOCKS: list[Any] = [
    {"type": "thinking", "thinking": "b", "signature": "long"},
    {"type": "text", "text": "a"},
    {"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1}},
    5,
]
ITEMS: list[Any] = [
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "b"}]},
    {"type": "message", "content": [{"type": "output_text", "text": "a"}, {"type": "refusal", "refusal": "c"}]},
    {"type": "function_call", "name": "f", "arguments": '{"x":1}'},
    5,
]


@pytest.mark.parametrize(
    ("format", "answer", "parts"),
    [
        ("openai", {"choices": [{"message": MESSAGE}, {"text": "c"}, {"message": "?"}, 5]},
         ["a", "b", '[{"function":{"name":"f","arguments":"{}"}}]', "c"]),
        ("anthropic", {"type": "message", "content": BLOCKS}, ["b", "a", '{"id":"t","name":"f","input":{"x":1}}']),
        ("responses", {"output": ITEMS}, ["a", "b", "c" + json.dumps(ITEMS[2], separators=(",", ":"))]),
    ],
)  # fmt: skip
def test_only_what_the_model_said_counts(format: str, answer: dict[str, Any], parts: list[str]) -> None:
    whole = json.dumps({"id": "x" * 500, "model": "m", **answer}).encode()
    assert app_format(format).app.answer_text(whole) == "\n".join(parts)


@pytest.mark.parametrize("format", [name for name, known in FORMATS.items() if known.app])
@pytest.mark.parametrize("other", [b"<html>", b"[]", b'{"error":1}', b"\xff"])
def test_an_answer_without_such_a_text_counts_whole(format: str, other: bytes) -> None:
    assert app_format(format).app.answer_text(other) == other.decode(errors="replace")
