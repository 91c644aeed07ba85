"""A request to Ollama's API as one to OpenAI's."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.formats.ollama.request import Kind, translated
from modelmesh.errors import InvalidRequestError

PNG = "iVBORw0KGgo="


def asked(kind: Kind, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(translated(kind, json.dumps({"model": "m", **fields}).encode(), bool).body)
    return made


def test_the_fields_of_a_chat() -> None:
    options = {"temperature": 0.5, "num_predict": 9, "num_ctx": 4096, "top_k": 40, "stop": ["x"]}
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "u", "images": [PNG]}]
    assert asked(Kind.CHAT, messages=messages, options=options, think="high", keep_alive="5m") == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "s"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "u"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                ],
            },
        ],
        "temperature": 0.5,
        "stop": ["x"],
        "max_tokens": 9,
        "reasoning_effort": "high",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_results_belong_to_their_calls() -> None:
    def call(name: str, **more: Any) -> dict[str, Any]:
        return {**more, "function": {"name": name, "arguments": {"a": 1}}}

    messages = [
        {"role": "assistant", "content": "", "thinking": "hm", "tool_calls": [call("a"), call("b"), call("c", id="x")]},
        {"role": "tool", "tool_name": "b", "content": "of b"},
        {"role": "tool", "tool_call_id": "x", "content": "of c"},
        {"role": "tool", "content": "of a"},
        {"role": "tool", "content": "of nothing"},
    ]
    made = asked(Kind.CHAT, messages=messages, stream=False)["messages"]
    assert [each["id"] for each in made[0]["tool_calls"]] == ["call_1", "call_2", "x"]
    assert made[0]["tool_calls"][0]["function"] == {"name": "a", "arguments": '{"a":1}'}
    assert (made[0]["content"], made[0]["reasoning_content"]) == (None, "hm")
    assert [each["tool_call_id"] for each in made[1:]] == ["call_2", "x", "call_1", "call_0"]


def test_a_prompt_is_a_chat_or_a_completion() -> None:
    assert asked(Kind.GENERATE, prompt="p", system="s", stream=False)["messages"] == [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "p"},
    ]
    assert asked(Kind.GENERATE, prompt="p", raw=True, stream=False) == {"model": "m", "prompt": "p"}
    assert asked(Kind.GENERATE, prompt="p", suffix="s")["suffix"] == "s"
    assert translated(Kind.GENERATE, b'{"model":"m"}', bool).path == ""
    assert translated(Kind.CHAT, b'{"model":"m","messages":[]}', bool).path == ""


def test_vectors() -> None:
    assert asked(Kind.EMBED, input=["a"], dimensions=8, truncate=True) == {
        "model": "m",
        "input": ["a"],
        "dimensions": 8,
    }
    assert asked(Kind.EMBEDDINGS, prompt="a") == {"model": "m", "input": "a"}


def test_a_tag_is_dropped_from_a_name_that_has_none_here() -> None:
    body = b'{"model":"m:latest","messages":[{"role":"user","content":"a"}]}'
    assert translated(Kind.CHAT, body, lambda name: name == "m").model == "m"
    assert translated(Kind.CHAT, body, lambda name: name == "m:latest").model == "m:latest"


@pytest.mark.parametrize(
    ("kind", "fields", "param"),
    [
        (Kind.CHAT, {"model": None}, "model"),
        (Kind.CHAT, {"messages": {}}, "messages"),
        (Kind.CHAT, {"messages": ["a"]}, "messages[0]"),
        (Kind.CHAT, {"messages": [{"role": "user", "content": 1}]}, "content"),
        (Kind.CHAT, {"messages": [{"role": "user", "images": [1]}]}, "images"),
        (Kind.CHAT, {"messages": [{"role": "user"}], "options": [1]}, "options"),
        (Kind.CHAT, {"messages": [{"role": "user"}], "format": "xml"}, "format"),
        (Kind.GENERATE, {"prompt": "p", "template": "t"}, "template"),
        (Kind.GENERATE, {"prompt": ["p"]}, "prompt"),
        (Kind.GENERATE, {"prompt": "p", "images": [PNG] * 10_001}, "images"),
    ],
)
def test_what_cannot_be_read_is_named(kind: Kind, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        asked(kind, **fields)
    assert caught.value.param == param


names = st.sampled_from(
    [
        "model",
        "name",
        "messages",
        "prompt",
        "suffix",
        "system",
        "template",
        "images",
        "format",
        "options",
        "think",
        "tools",
        "stream",
        "raw",
        "input",
        "role",
        "content",
        "tool_calls",
        "function",
        "arguments",
        "id",
        "tool_name",
        "tool_call_id",
        "thinking",
        "stop",
        "num_predict",
        "dimensions",
    ]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from(Kind), st.dictionaries(names, values, max_size=8))
def test_anything_is_translated_or_refused(kind: Kind, fields: dict[str, Any]) -> None:
    try:
        made = translated(kind, msgspec.json.encode({"model": "m", **fields}), bool)
    except InvalidRequestError:
        return
    if made.path:
        assert json.loads(made.body)["model"] == made.model


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b"\xff", b'"model"', b"[" * 100_000])
def test_what_is_not_an_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        translated(Kind.CHAT, body, bool)
