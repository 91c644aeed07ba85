"""More text of a choice that flows is noted in fewer steps, and comes to the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.formats.errors.not_answers import NotAnEvent
from meshd.formats.openai.stream.ending import Ending
from meshd.formats.openai.wire import read_event

deltas = st.fixed_dictionaries(
    {"content": st.sampled_from(["a", ""])},
    optional={"reasoning": st.sampled_from(["", "t"]), "refusal": st.just("no")},
)
choices = st.fixed_dictionaries(
    {"index": st.integers(0, 1), "delta": deltas, "finish_reason": st.sampled_from([None, None, "stop", "length"])}
)
text = st.just([{"index": 0, "delta": {"content": "a"}, "finish_reason": None}])  # the most common chunk
chunks = (text | st.lists(choices, max_size=2)).map(lambda made: json.dumps({"id": "c", "choices": made}).encode())
between = st.sampled_from(["", "", "lost", "doubt"])


@given(st.lists(st.tuples(chunks, between), min_size=2, max_size=12), st.integers(1, 2))
def test_the_short_way_is_the_long_way(stream: list[tuple[bytes, str]], asked: int) -> None:
    short, long = Ending(asked), Ending(asked)
    for data, before in stream:
        try:
            event, chunk = read_event(data, hide_usage=False)
        except NotAnEvent:
            continue
        for each in (short, long):
            each.lost = each.lost or (before == "lost" and each.certain)
            each.doubt = each.doubt or before == "doubt"
        assert short.note(chunk, event) == long.look_into(chunk, event)
        assert told(short) == told(long)


def told(ending: Ending) -> tuple[object, ...]:
    """Everything that readers ask of it."""
    regular = ending.is_regular(done=False), ending.is_regular(done=True)
    return ending.came, ending.certain, ending.content, ending.doubt, ending.lost, ending.missed, *regular


def call(arguments: str | None, **fields: Any) -> dict[str, Any]:
    return {"index": 0, "type": "function", **fields, "function": {"name": "f", "arguments": arguments}}


def ended(*deltas: dict[str, Any], finish: str | None = None) -> bool:
    """Whether `[DONE]` is the regular end of a stream of these."""
    ending = Ending(1)
    for number, delta in enumerate(deltas, 1):
        last = finish if number == len(deltas) else None
        chunk = {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": last}]}
        event, read = read_event(json.dumps(chunk).encode(), hide_usage=False)
        ending.note(read, event)
    return ending.is_regular(done=True)


@pytest.mark.parametrize(
    ("calls", "whole"),
    [
        (['{"ci', 'ty": 1}'], True),
        (['{"ci'], False),
        (['{"city": 1'], False),
        ([""], False),
        ([None], False),
        (['{"a": 1}', '{"b": 2}'], True),
        (['{"a": 1}', '{"b'], False),
        ([" {} "], True),
    ],
)
def test_without_a_finish_reason_a_call_has_to_have_its_end(calls: list[str | None], whole: bool) -> None:
    deltas = [{"tool_calls": [call(piece)]} for piece in calls]
    assert ended({"content": "So: "}, *deltas) is whole
    assert ended({"content": "So: "}, *deltas, {}, finish="tool_calls")


def test_each_call_of_several_has_to_have_its_end() -> None:
    begun = [call('{"a"'), call('{"b": 1}', index=1)]
    assert not ended({"tool_calls": begun})
    assert ended({"tool_calls": begun}, {"tool_calls": [call(": 1}")]})
    assert ended({"tool_calls": [{"index": 0, "type": "custom", "custom": {"name": "f", "input": "{"}}]})
