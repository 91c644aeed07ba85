"""A stream put together to one answer says what its chunks said."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.formats.openai.stream.assembled import Assembly
from meshd.sdk.reading.message_content import Said
from meshd.sdk.reading.message_content import read as read_said


def assembled(choices: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    assembly = Assembly()
    for each in choices:
        assembly.add(json.dumps({"id": "c", "choices": each}).encode())
    answer: dict[str, Any] = json.loads(assembly.answer())
    return answer["choices"]


TEXT = st.text("ab \n哈", max_size=3)
CONTENT = st.one_of(
    TEXT, st.none(), st.integers(0, 9), st.just(0.005), st.booleans(), st.just([]),
    TEXT.map(lambda text: [{"type": "text", "text": text}]), TEXT.map(lambda text: {"type": "text", "text": text}),
    TEXT.map(lambda text: [{"type": "thinking", "thinking": text}]),
)  # fmt: skip
DELTA = st.fixed_dictionaries({}, optional={"content": CONTENT, "reasoning_content": TEXT, "refusal": st.none() | TEXT})
INDEX = st.sampled_from([(0, 0), (0, "0"), (0, 0.0), (1, 1), (1, "1")])


@given(st.lists(st.tuples(INDEX, DELTA), min_size=1, max_size=8))
def test_nothing_that_was_said_is_lost(chunks: list[tuple[tuple[int, Any], dict[str, Any]]]) -> None:
    found = assembled([[{"index": index, "delta": delta}] for (_, index), delta in chunks])
    of_each = [[read_said(delta) for (at, _), delta in chunks if at == which] for which in (0, 1)]
    expected = [Said(*map("".join, zip(*said, strict=True))) for said in of_each if said]
    assert [_alike(read_said(choice["message"])) for choice in found] == [_alike(said) for said in expected]


def _alike(said: Said) -> tuple[str, str, str]:
    """Thinking in parts comes before thinking in a field of its own, whichever was said first."""
    return said.text, "".join(sorted(said.reasoning)), said.extra


def part(index: Any = None, id: Any = None, name: str | None = None, arguments: Any = "") -> dict[str, Any]:
    given = {"index": index, "id": id, "function": {"name": name, "arguments": arguments}}
    return {key: value for key, value in given.items() if value is not None}


ARGS = '{"x":1}'
ONE, TWO = [("a", "f", ARGS)], [("a", "f", ARGS), ("b", "g", "{}")]


@pytest.mark.parametrize(
    ("deltas", "calls"),
    [
        ([[part(0, "a", "f")], [part(0, arguments='{"x"')], [part(0, arguments=":1}")]], ONE),
        ([[part(0, "a", "f")], [part(1, "b", "g", "{")], [part(0, arguments=ARGS)], [part(1, arguments="}")]], TWO),
        ([[part(None, "a", "f")], [part(arguments='{"x"')], [part(arguments=":1}")]], ONE),
        ([[part(None, "a", "f", ARGS), part(None, "b", "g", "{}")]], TWO),
        ([[part(None, "a", "f"), part(None, "b", "g")], [part(arguments=ARGS), part(arguments="{}")]], TWO),
        ([[part(0, "a", "f", ARGS)], [part(0, "b", "g", "{}")]], TWO),  # Ollama
        ([[part(0, "a", "f", '{"x"')], [part(0, "b", "g", "{}")], [part(0, "a", None, ":1}")]], TWO),
        ([[part(0, "a", "f")], [part(0, "a", None, '{"x"')], [part(0, "", None, ":1}")]], ONE),
        ([[part("0", "a", "f")], [part("0", arguments=ARGS)]], ONE),
    ],
)  # fmt: skip
def test_calls_are_told_apart(deltas: list[list[dict[str, Any]]], calls: list[tuple[str, str, str]]) -> None:
    [choice] = assembled([[{"index": 0, "delta": {"tool_calls": delta}}] for delta in deltas])
    made = choice["message"]["tool_calls"]
    assert [(each["id"], each["function"]["name"], each["function"]["arguments"]) for each in made] == calls
    assert choice["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("name", ["finish_reason", "finishReason"])
def test_the_finish_reason_is_that_of_the_stream(name: str) -> None:
    [choice] = assembled([[{"index": 0, "delta": {"content": "a"}, name: "length"}]])
    assert choice["finish_reason"] == "length"
