"""What a report of usage comes to: never fewer tokens than any reading of it that can be true."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshd.formats.errors.not_answers import NotAnEvent
from meshd.formats.openai import usage as _usage
from meshd.formats.openai import wire
from meshd.formats.openai.answer import read_answer
from meshd.operations.chat import CHAT
from meshd.sdk.provider import Usage


def report(usage: Any) -> Usage | None:
    """As the two ways of reading have it, a plain answer's and a stream's."""
    choice = {"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}
    whole = json.dumps({"choices": [choice], "usage": usage}).encode()
    chunk = json.dumps({"choices": [], "usage": usage}).encode()
    unary = read_answer(whole, CHAT).usage
    try:
        streamed = wire.read_event(chunk, hide_usage=False)[0].usage
    except NotAnEvent:
        streamed = None
    assert unary == streamed
    return unary


def details(thought: Any) -> dict[str, Any]:
    return {"completion_tokens_details": {"reasoning_tokens": thought}}


# Each as its provider sends it; where a report holds the cost, the tokens are those that it was for.
REPORTS: list[tuple[str, dict[str, Any], tuple[int, int]]] = [
    ("openai: a part", {"prompt_tokens": 9, "completion_tokens": 30, "total_tokens": 39, **details(20)}, (9, 30)),
    (
        "xai: beside, in the total (vercel/ai#12425)",
        {"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 399, **details(386)},
        (12, 387),
    ),
    (
        "xai: beside, less than what is said (Wei-Shaw/sub2api#5771)",
        {"prompt_tokens": 10120, "completion_tokens": 1499, "total_tokens": 14428, **details(2809)},
        (10120, 4308),
    ),
    ("xai without a total", {"prompt_tokens": 12, "completion_tokens": 1, **details(386)}, (12, 387)),
    ("more than all", {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17, **details(386)}, (12, 391)),
    ("gemini: in the total alone", {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 90}, (7, 83)),
    (
        "perplexity: beside, in no total",
        {
            "prompt_tokens": 1188,
            "completion_tokens": 4240,
            "total_tokens": 5428,
            "citation_tokens": 8014,
            "num_search_queries": 54,
            "reasoning_tokens": 92431,
        },
        (1188 + 8014, 4240 + 92431),
    ),
    (
        "perplexity: less than what is said",
        {"prompt_tokens": 1, "completion_tokens": 50, "total_tokens": 51, "num_search_queries": 2,
         "reasoning_tokens": 20},
        (1, 70),
    ),
    (
        "sglang: a part (usage_processor.py)",
        {"prompt_tokens": 9, "completion_tokens": 30, "total_tokens": 39, "reasoning_tokens": 20},
        (9, 30),
    ),
    (
        "beside, more than what is said",
        {"prompt_tokens": 9, "completion_tokens": 30, "total_tokens": 39, "reasoning_tokens": 200},
        (9, 230),
    ),
    ("responses", {"input_tokens": 9, "output_tokens": 3, "output_tokens_details": {"reasoning_tokens": 7}}, (9, 10)),
    ("no prompt", {"completion_tokens": 5, "total_tokens": 30}, (25, 5)),
    ("no output", {"prompt_tokens": 5, "total_tokens": 30}, (5, 25)),
    ("null", {"prompt_tokens": None, "completion_tokens": 5, "total_tokens": 30}, (25, 5)),
    ("negative", {"prompt_tokens": 5, "completion_tokens": -1, "total_tokens": 30}, (5, 25)),
    ("negative prompt", {"prompt_tokens": -7, "completion_tokens": 5, "total_tokens": 30}, (25, 5)),
    ("text", {"prompt_tokens": "9", "completion_tokens": "30", "total_tokens": "39", **details("40")}, (9, 70)),
    ("floats", {"prompt_tokens": 9.0, "completion_tokens": 29.5, **details(40.2)}, (9, 71)),
    ("thinking that cannot be", {"prompt_tokens": 9, "completion_tokens": 3, **details(2**64)}, (9, 3)),
    ("negative thinking", {"prompt_tokens": 9, "completion_tokens": 3, **details(-5)}, (9, 3)),
    ("no thinking", {"prompt_tokens": 9, "completion_tokens": 3, "reasoning_tokens": None, **details(None)}, (9, 3)),
    ("details of another type", {"prompt_tokens": 9, "completion_tokens": 3, "completion_tokens_details": [7]}, (9, 3)),
]  # fmt: skip


@pytest.mark.parametrize(("said", "tokens"), [case[1:] for case in REPORTS], ids=[case[0] for case in REPORTS])
def test_what_was_used_is_counted_wherever_it_is_reported(said: dict[str, Any], tokens: tuple[int, int]) -> None:
    usage = report(said)
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == tokens


def written(count: st.SearchStrategy[int]) -> st.SearchStrategy[Any]:
    """A count as servers write them."""
    return count.flatmap(lambda n: st.sampled_from([n, float(n), str(n)]))


COUNT = st.integers(0, 10**6)
PLACES = ["completion_tokens_details", "output_tokens_details", ""]


@given(
    COUNT, COUNT, COUNT, st.sampled_from(PLACES), st.booleans(), st.sampled_from([None, "part", "beside"]), st.data()
)
@settings(deadline=None)
def test_no_report_is_counted_for_less_than_it_says(prompt, output, thought, place, searches, total, data):
    said: dict[str, Any] = {
        "prompt_tokens": data.draw(written(st.just(prompt))),
        "completion_tokens": data.draw(written(st.just(output))),
    }
    thinking = {"reasoning_tokens": data.draw(written(st.just(thought)))}
    said |= {place: thinking} if place else thinking
    if total:
        said["total_tokens"] = prompt + output + (thought if total == "beside" else 0)
    if searches:
        said["num_search_queries"] = 1
    usage = report(said)
    assert usage is not None
    assert usage.input_tokens == prompt
    beside = total == "beside" or (searches and not place) or thought > output
    assert usage.output_tokens == output + (thought if beside else 0)


ODD: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4), st.just([]), st.just({}),
    st.dictionaries(st.sampled_from(["reasoning_tokens", "cached_tokens"]), st.integers(), max_size=2),
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(_usage.WireUsage.__struct_fields__), ODD))
@settings(deadline=None)
def test_any_report_is_read_into_bounds(said):
    usage = report(said)
    assert usage is None or all(
        -1 <= count <= _usage.MOST_COUNTED for count in (usage.input_tokens, usage.output_tokens)
    )


@pytest.mark.parametrize(
    ("usage", "reasoning"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 30, "total_tokens": 39}, 0),
        ({"prompt_tokens": 9, "completion_tokens": 30, "total_tokens": 39, **details(20)}, 20),
        ({"prompt_tokens": 9, "completion_tokens": 30, "total_tokens": 39, **details(None)}, 0),
        ({"prompt_tokens": 9, "completion_tokens": 30, "total_tokens": 39, **details(-1)}, 0),
        ({"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 399, **details(386)}, 386),
        ({"prompt_tokens": 9, "completion_tokens": 30, "reasoning_tokens": 20}, 20),
    ],
)
def test_reasoning_is_told_as_a_part_of_the_output(usage: dict[str, Any], reasoning: int) -> None:
    found = report(usage)
    assert found is not None
    assert found.reasoning_tokens == reasoning <= found.output_tokens
    told = report(_usage.usage_map(found))
    assert told is not None
    assert (told.reasoning_tokens, told.output_tokens) == (reasoning, found.output_tokens)
