"""Counting: which text of a body is counted, and what is added to it. A word here is a token."""

from __future__ import annotations

import json
from typing import Any

import pytest

from meshd.formats.openai.body.tokens import PER_CALLS, PER_FORMAT, PER_TOOL, PER_TOOLS, count
from meshd.operations.chat import CHAT
from meshd.operations.completion import COMPLETION
from meshd.operations.embeddings import EMBEDDINGS
from meshd.sdk.provider import OperationSpec
from tests.support.formats.bodies import split

HELLO = {"role": "user", "content": "Hello there"}


def words(text: str) -> int:
    return len(text.split())


def chat(*messages: Any, **body: Any) -> int:
    return count(CHAT, split(json.dumps({"model": "m", "messages": list(messages)} | body)), words)


def asked(operation: OperationSpec, **body: Any) -> int:
    return count(operation, split(json.dumps({"model": "m"} | body)), words)


def test_a_message_is_its_text_its_role_and_three() -> None:
    assert chat() == 3
    assert chat(HELLO) == 3 + 3 + 1 + 2
    assert chat(HELLO, HELLO) == 3 + 2 * (3 + 1 + 2)
    assert chat(HELLO | {"name": "Eve"}) == chat(HELLO) + 2
    assert chat(HELLO | {"name": None}) == chat(HELLO)


def test_text_parts_are_text_and_images_sound_and_files_are_not() -> None:
    text = {"type": "text", "text": "one two three"}
    for kind in ("image_url", "input_image", "input_audio", "file", "video_url"):
        assert chat({"role": "user", "content": [text, {"type": kind, kind: "a b c d"}]}) == 3 + 3 + 1 + 3
    assert chat({"role": "assistant", "content": [{"type": "refusal", "refusal": "not this"}]}) == 3 + 3 + 1 + 2


@pytest.mark.parametrize("content", [[{"type": "new", "x": "a b"}], ["a b c"], {"x": "a b c"}, 5, [{"type": "text"}]])
def test_what_is_not_known_is_counted_as_its_json(content: Any) -> None:
    assert chat({"role": "user", "content": content}) > 3 + 3 + 1


@pytest.mark.parametrize("kind", [None, 1, ["text"], {"a": 1}])
def test_a_part_of_an_odd_type_is_counted_too(kind: Any) -> None:
    assert chat({"role": "user", "content": [{"type": kind, "text": "a b c"}]}) >= 3


def test_tool_calls_are_counted_as_their_json() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    with_call = chat({"role": "assistant", "content": None, "tool_calls": [call]})
    assert with_call == 3 + 3 + 1 + PER_CALLS + 2
    assert chat({"role": "tool", "tool_call_id": "1", "content": "two words"}) == 3 + 3 + 1 + 2 + 2
    assert chat({"role": "assistant", "audio": {"id": "audio 1"}}) == 3 + 3 + 1 + 1


def test_tools_and_schemas_are_counted_as_their_json() -> None:
    tool = {"type": "function", "function": {"name": "f", "description": "of many words"}}
    assert chat(tools=[tool, tool]) == 3 + PER_TOOLS + 2 * PER_TOOL + 5
    assert chat(functions={"name": "f"}) == 3 + PER_TOOLS + PER_TOOL + 1
    assert chat(tools=[], functions=None, response_format=None, tool_choice="auto") == 3
    assert chat(response_format={"type": "json_schema", "json_schema": {"description": "a b"}}) == 3 + PER_FORMAT + 2


def test_messages_of_another_shape_are_counted_too() -> None:
    assert count(CHAT, split(b'{"messages":"a b c"}'), words) == 3 + 3
    assert chat("a b c", 5) == 3 + 2 * 3 + 3 + 1
    assert count(CHAT, {}, words) == 3


@pytest.mark.parametrize(
    ("given", "tokens"),
    [("a b c", 3), (["a b", "c"], 3), ([1, 2, 3, 4], 4), ([[1, 2], [3]], 3), (None, 0), ([], 0), ({"a": "b c"}, 2)],
)
def test_prompts_and_inputs_are_texts_or_tokens(given: Any, tokens: int) -> None:
    assert asked(EMBEDDINGS, input=given) == tokens
    assert asked(COMPLETION, prompt=given) == tokens
    assert asked(COMPLETION, prompt=given, suffix="d e") == tokens + 2
    assert asked(COMPLETION) == 0
