"""OpenAI's answers and events as Ollama's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.formats.ollama.answer import Answering
from meshd.formats.ollama.request import Kind, Translated

NOW = 1_800_000_000.0


def answering(kind: Kind = Kind.CHAT, *, thinks: bool = True) -> Answering:
    return Answering(Translated("/v1/chat/completions", b"", kind, "m", stream=True, thinks=thinks), NOW)


def chunk(of: Answering, delta: Any, finish: str | None = None) -> dict[str, Any] | None:
    data = json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).encode()
    said = of.chunk(data, NOW + 1)
    return None if said is None else json.loads(said)


def test_the_pieces_of_a_stream() -> None:
    of = answering()
    assert chunk(of, {"role": "assistant", "content": ""}) is None
    assert chunk(of, {"reasoning_content": "hm"}) == {
        "model": "m",
        "created_at": "2027-01-15T08:00:01.000000Z",
        "message": {"role": "assistant", "content": "", "thinking": "hm"},
        "done": False,
    }
    said = chunk(of, {"content": "a"})
    assert said is not None
    assert said["message"] == {"role": "assistant", "content": "a"}
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a"'}}
    assert chunk(of, {"tool_calls": [call]}) is None
    assert chunk(of, {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}, "tool_calls") is None
    calls, last = map(json.loads, of.end({"prompt_tokens": 3, "completion_tokens": 4}, NOW + 3))
    assert calls["message"]["tool_calls"] == [{"id": "c", "function": {"name": "f", "arguments": {"a": 1}}}]
    assert (calls["done"], last["done"], last["done_reason"]) == (False, True, "stop")
    assert (last["prompt_eval_count"], last["eval_count"]) == (3, 4)
    figures = (last["total_duration"], last["prompt_eval_duration"], last["eval_duration"])
    assert figures == (3_000_000_000, 1_000_000_000, 2_000_000_000)


def test_a_limit_is_told() -> None:
    of = answering(Kind.GENERATE)
    said = chunk(of, {"content": "a"}, "length")
    assert said is not None
    assert said["response"] == "a"
    (last,) = map(json.loads, of.end(None, NOW))
    assert (last["response"], last["done_reason"]) == ("", "length")


def test_thoughts_that_are_not_wanted_are_left_out() -> None:
    assert chunk(answering(thinks=False), {"reasoning_content": "hm"}) is None


def test_a_whole_answer() -> None:
    message = {
        "content": "a",
        "tool_calls": [{"function": {"name": "f", "arguments": "no JSON"}}, {"function": {"name": "g"}}],
    }
    body = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}})
    said = json.loads(answering().whole(body.encode(), NOW))
    assert said["message"] == {
        "role": "assistant",
        "content": "a",
        "tool_calls": [
            {"function": {"name": "f", "arguments": {"input": "no JSON"}}},
            {"function": {"name": "g", "arguments": {}}},
        ],
    }
    assert (said["done"], said["prompt_eval_count"], said["eval_count"]) == (True, 1, 0)


@pytest.mark.parametrize(
    ("kind", "answer"),
    [(Kind.EMBED, {"embeddings": [[1.0], [2.0]]}), (Kind.EMBEDDINGS, {"embedding": [1.0]})],
)
def test_vectors(kind: Kind, answer: dict[str, Any]) -> None:
    body = json.dumps({"data": [{"embedding": [1.0]}, {"embedding": [2.0]}], "usage": {"prompt_tokens": 2}}).encode()
    said = json.loads(answering(kind).whole(body, NOW))
    assert answer.items() <= said.items()


odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "delta",
                    "message",
                    "content",
                    "tool_calls",
                    "function",
                    "arguments",
                    "index",
                    "id",
                    "name",
                    "finish_reason",
                    "data",
                    "embedding",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(st.sampled_from(Kind), odd)
def test_whatever_a_provider_sends_is_written_as_json(kind: Kind, value: Any) -> None:
    of, data = answering(kind), json.dumps(value).encode()
    said = of.chunk(data, NOW)
    for line in (said or b"{}", *of.end(None, NOW), answering(kind).whole(data, NOW)):
        assert b"\n" not in line
        assert isinstance(json.loads(line), dict)
