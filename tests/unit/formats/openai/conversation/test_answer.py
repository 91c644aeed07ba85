"""A chat completion's answer as a record, and back."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from meshd.formats.conversation.answer import Answer, Choice, Finish, TokenLogprob
from meshd.formats.conversation.parts import Image, Reasoning, Refusal, Source, Text, ToolCall
from meshd.formats.conversation.reading import Unreadable
from meshd.formats.openai.conversation.answer import read_answer, write_answer
from meshd.formats.openai.conversation.request import read_request
from meshd.sdk.provider import Usage
from tests.support.formats import openai_chats


def answered(message: dict[str, Any], finish: str = "stop", **fields: Any) -> Answer:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    head = {"id": "a1", "object": "chat.completion", "created": 5, "model": "m"}
    return read_answer(json.dumps({**head, "choices": [choice], **fields}).encode())


def said(*parts: Any, finish: Finish = Finish.STOP) -> Answer:
    return Answer((Choice(parts, finish),), "a1", "m", 5)


def message_of(answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(write_answer(answer))["choices"][0]["message"]
    return message


@given(openai_chats.answers())
def test_nothing_is_lost_on_the_way_through_records(answer: dict[str, Any]) -> None:
    body = msgspec.json.encode(answer)
    read = read_answer(body)
    assert msgspec.json.decode(write_answer(read)) == msgspec.json.decode(body)
    assert read_answer(write_answer(read)) == read
    assert hash(read) == hash(read_answer(body))


@given(openai_chats.values | st.binary(max_size=60))
def test_what_is_not_an_answer_is_unreadable_or_empty(value: Any) -> None:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    try:
        write_answer(read_answer(body))
    except Unreadable:
        return
    assert isinstance(value, dict | bytes)


names = st.sampled_from(
    ["choices", "message", "content", "tool_calls", "function_call", "audio", "refusal", "type", "text", "usage", "id",
     "index", "finish_reason", "logprobs", "token", "logprob", "bytes", "top_logprobs", "images", "image_url", "url",
     "reasoning_content", "reasoning_details", "thinking_blocks", "function", "arguments", "name", "created", "model"]
)  # fmt: skip
nested = st.recursive(
    openai_chats.scalars
    | st.just(float("nan"))
    | st.just(float("inf"))
    | st.sampled_from(["image_url", "text", "\ud83d"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5),
    max_leaves=25,
)
odd_choices = st.lists(st.dictionaries(names, st.dictionaries(names, nested) | nested, max_size=4) | nested, max_size=3)


@example([{"choices": {}, "message": {"function_call": float("nan")}}], {})
@given(odd_choices | nested, st.dictionaries(names, nested, max_size=4))
def test_an_odd_answer_is_read_as_far_as_it_goes(choices: Any, more: dict[str, Any]) -> None:
    answer = read_answer(json.dumps({**more, "choices": choices}).encode())
    again = read_answer(write_answer(answer))
    assert again == answer
    hash(answer)


def test_what_is_nested_too_deeply_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        read_answer(b'{"choices": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")


def test_an_answer_has_parts_a_finish_and_usage() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    usage = {
        "prompt_tokens": 7,
        "completion_tokens": 3,
        "total_tokens": 10,
        "prompt_tokens_details": {"cached_tokens": 2},
    }
    answer = answered({"content": "Look:", "tool_calls": [call]}, "tool_calls", usage=usage)
    assert answer == Answer(
        (Choice((Text("Look:"), ToolCall("c1", "f", "{}")), Finish.TOOL_CALLS),), "a1", "m", 5, Usage(7, 3, 2)
    )


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", Finish.STOP),
        ("length", Finish.LENGTH),
        ("content_filter", Finish.FILTER),
        ("function_call", Finish.TOOL_CALLS),
        ("end_turn", Finish.STOP),
        ("eos", Finish.STOP),
        ("model_length", Finish.CONTEXT),
        ("MAX_TOKENS", Finish.LENGTH),
        ("banana", Finish.OTHER),
        (None, None),
        (7, None),
    ],
)
def test_finish_reasons(reason: Any, finish: Finish | None) -> None:
    assert answered({"content": "x"}, reason).choices[0].finish is finish


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        (Finish.SEQUENCE, "stop"),
        (Finish.CONTEXT, "length"),
        (Finish.REFUSAL, "content_filter"),
        (Finish.PAUSE, "stop"),
        (Finish.OTHER, "stop"),
    ],
)
def test_causes_that_openai_lacks_are_the_nearest_that_it_has(finish: Finish, reason: str) -> None:
    document = json.loads(write_answer(said(Text("x"), finish=finish)))
    assert document["choices"][0]["finish_reason"] == reason


def test_reasoning_with_a_signature_is_written_so_that_an_app_can_send_it_back() -> None:
    answer = said(Reasoning("Hm.", "sig"), Reasoning(encrypted="xyz"), Text("Yes."))
    message = message_of(answer)
    assert message["reasoning_content"] == "Hm."
    assert read_answer(write_answer(answer)) == answer
    body = {"model": "m", "messages": [{"role": "user", "content": "?"}, message]}
    parts = read_request(json.dumps(body).encode()).turns[1].parts
    assert parts == answer.choices[0].parts


def test_a_call_of_a_format_without_ids_gets_one() -> None:
    """Gemini's calls: an app has to name the call that it answers."""
    calls = message_of(said(ToolCall("", "f", "{}"), ToolCall("", "g", "{}", signature="s")))["tool_calls"]
    assert [call["id"] for call in calls] == ["call_0", "call_1"]
    assert calls[1]["extra_content"] == {"google": {"thought_signature": "s"}}


def test_an_app_that_asked_with_functions_gets_a_function_call() -> None:
    asked = read_request(b'{"model": "m", "messages": [], "functions": [{"name": "f"}]}')
    answer = said(ToolCall("c1", "f", "{}"), finish=Finish.TOOL_CALLS)
    choice = json.loads(write_answer(answer, asked))["choices"][0]
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "function_call": {"name": "f", "arguments": "{}"},
    }
    assert choice["finish_reason"] == "function_call"


def test_blocks_of_text_are_one_content() -> None:
    """As Anthropic has them, around a call."""
    answer = said(Text("Let me "), ToolCall("c1", "f", "{}"), Text("look."))
    assert message_of(answer)["content"] == "Let me look."


def test_refusals_images_and_likelihoods() -> None:
    image = Image(Source(data="AAAA", media_type="image/png"))
    choice = Choice((Text("x"), image, Refusal("No.")), Finish.STOP, 0, "", (TokenLogprob("x", -0.5, b"x"),))
    answer = replace(said(), choices=(choice,))
    document = json.loads(write_answer(answer))["choices"][0]
    assert document["message"]["images"] == [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    assert document["logprobs"]["content"] == [{"token": "x", "logprob": -0.5, "bytes": [120], "top_logprobs": []}]
    read = read_answer(write_answer(answer)).choices[0]
    assert (read.parts, read.logprobs) == (choice.parts, choice.logprobs)
