"""A message as an answer, and back; answers of OpenAI's format as messages."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.formats.anthropic.conversation.answer import read_answer, write_answer
from meshd.formats.conversation.answer import Answer, Choice, Finish
from meshd.formats.conversation.parts import Audio, Image, Reasoning, Refusal, Source, Text, ToolCall
from meshd.formats.conversation.reading import Unreadable
from meshd.formats.openai.conversation.answer import read_answer as read_openai
from meshd.sdk.provider import Usage
from tests.support.formats import anthropic_messages, openai_chats

_encode, _decode = msgspec.json.encode, msgspec.json.decode


def said(*parts: Any, finish: Finish | None = Finish.STOP, **more: Any) -> Answer:
    return Answer((Choice(parts, finish),), "msg_1", "m", **more)


def written(answer: Answer) -> Any:
    return json.loads(write_answer(answer))


@given(anthropic_messages.answers())
def test_nothing_is_lost_on_the_way_through_records(answer: dict[str, Any]) -> None:
    body = _encode(answer)
    read = read_answer(body)
    assert _decode(write_answer(read)) == _decode(body)
    assert read_answer(write_answer(read)) == read
    hash(read)


@given(openai_chats.answers())
def test_an_answer_of_openais_format_is_a_message(answer: dict[str, Any]) -> None:
    read = read_openai(_encode(answer))
    message = written(read)
    assert (message["type"], message["role"]) == ("message", "assistant")
    first = min(read.choices, key=lambda choice: choice.index)
    texts = "".join(part.text for part in first.parts if isinstance(part, Text | Refusal))
    heard = "".join(part.transcript for part in first.parts if isinstance(part, Audio))
    blocks = message["content"]
    assert sorted("".join(b["text"] for b in blocks if b["type"] == "text")) == sorted(texts + heard)
    calls = [part.name for part in first.parts if isinstance(part, ToolCall)]
    assert [b["name"] for b in blocks if b["type"] == "tool_use"] == calls
    again = read_answer(write_answer(read))
    assert (again.id, again.model) == (read.id, read.model)
    if read.usage is not None and read.usage.cached_tokens <= read.usage.input_tokens:
        assert again.usage is not None
        assert (again.usage.input_tokens, again.usage.output_tokens) == (
            read.usage.input_tokens,
            read.usage.output_tokens,
        )


@given(openai_chats.values | st.binary(max_size=60))
def test_what_is_not_an_answer_is_unreadable_or_empty(value: Any) -> None:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    try:
        write_answer(read_answer(body))
    except Unreadable:
        return
    assert isinstance(value, dict | bytes)


names = st.sampled_from(
    ["content", "type", "text", "thinking", "signature", "data", "id", "name", "input", "stop_reason", "stop_sequence",
     "usage", "input_tokens", "output_tokens", "source", "role", "model", "citations"]
)  # fmt: skip
nested = st.recursive(
    openai_chats.scalars
    | st.just(float("nan"))
    | st.sampled_from(["text", "tool_use", "thinking", "image", "base64", "\ud83d", "message", "end_turn"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5),
    max_leaves=25,
)


@given(
    st.lists(st.dictionaries(names, nested, max_size=5) | nested, max_size=3) | nested, st.dictionaries(names, nested)
)
def test_an_odd_answer_is_read_as_far_as_it_goes(content: Any, more: dict[str, Any]) -> None:
    answer = read_answer(json.dumps({**more, "content": content}).encode())
    write_answer(answer)
    hash(answer)


def test_what_is_nested_too_deeply_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        read_answer(b'{"content": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")


def test_a_message_has_parts_a_finish_and_usage() -> None:
    answer = read_answer(
        json.dumps(
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "m",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
                    {"type": "redacted_thinking", "data": "x"},
                    {"type": "text", "text": "Look:"},
                    {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
                ],
                "stop_reason": "tool_use",
                "stop_sequence": None,
                "usage": {
                    "input_tokens": 7,
                    "cache_creation_input_tokens": 5,
                    "cache_read_input_tokens": 2,
                    "output_tokens": 3,
                },
            }
        ).encode()
    )
    parts = (Reasoning("Hm.", "sig"), Reasoning(encrypted="x"), Text("Look:"), ToolCall("toolu_1", "f", '{"a":1}'))
    assert answer == Answer((Choice(parts, Finish.TOOL_CALLS),), "msg_1", "m", None, Usage(14, 3, 2, 5))


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        (Finish.STOP, "end_turn"),
        (Finish.SEQUENCE, "stop_sequence"),
        (Finish.LENGTH, "max_tokens"),
        (Finish.CONTEXT, "model_context_window_exceeded"),
        (Finish.FILTER, "refusal"),
        (Finish.REFUSAL, "refusal"),
        (Finish.PAUSE, "pause_turn"),
        (Finish.OTHER, "end_turn"),
        (None, "end_turn"),
    ],
)
def test_stop_reasons(finish: Finish | None, reason: str) -> None:
    assert written(said(Text("x"), finish=finish))["stop_reason"] == reason


def test_a_call_is_told_by_the_stop_reason_whatever_the_provider_said() -> None:
    assert written(said(ToolCall("a", "f", "{}")))["stop_reason"] == "tool_use"
    assert written(said(Refusal("No.")))["stop_reason"] == "refusal"


def test_what_a_message_has_no_word_for_is_left_out() -> None:
    parts = (Reasoning("Hm."), Image(Source(url="u")), Audio(Source(data="AAAA"), "Hi."), Text(""), Text("x"))
    assert written(said(*parts))["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": ""},
        {"type": "text", "text": "Hi."},
        {"type": "text", "text": "x"},
    ]


def test_a_message_has_an_id_and_usage_of_its_own() -> None:
    first, second = (written(Answer((Choice((Text("x"),), Finish.STOP),))) for _ in range(2))
    assert first["id"].startswith("msg_")
    assert first["id"] != second["id"]
    assert first["usage"]["output_tokens"] == 0
