"""The most a request can use of a model: never less than it will."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from meshd.core.needs import RequestNeeds
from meshd.core.prices import LongPrompt, Pricing, units_of
from meshd.operations.chat import CHAT
from meshd.operations.completion import COMPLETION
from meshd.operations.embeddings import EMBEDDINGS
from meshd.routing.request.estimate import (
    IMAGE_TOKENS,
    OUTPUT_UNKNOWN,
    cost_of,
    upper_bound,
    why_input,
    why_output,
    write_percent,
)
from meshd.sdk.provider import Usage
from tests.support.routing.routing_builders import CHAT_NEEDS, mesh, model

PRICED = Pricing(input_per_1m=1_000_000, output_per_1m=2_000_000, per_request=5)


def test_input_is_counted_else_its_bytes() -> None:
    needs = replace(CHAT_NEEDS, most=400, counts={"o200k_base": 90})
    assert upper_bound(needs, model("p.m", vocabulary="o200k_base")).tokens_in == 90
    assert upper_bound(needs, model("p.m", vocabulary="cl100k_base")).tokens_in == 400
    assert upper_bound(needs, model("p.m")).tokens_in == 400


def test_images_and_files_are_the_models() -> None:
    needs = replace(CHAT_NEEDS, most=100, images=2, attached=9000)
    assert upper_bound(needs, model("p.m")).tokens_in == 100 + 2 * IMAGE_TOKENS + 9000
    assert upper_bound(needs, model("p.m", tokens_per_image=1445)).tokens_in == 100 + 2 * 1445 + 9000
    small = model("p.m", tokens_per_image=1, context_window=4000)
    assert upper_bound(needs, small).tokens_in == 100 + 2 + 4000, "no more of a file than fits"


@pytest.mark.parametrize(
    ("needs", "given", "output"),
    [
        ({"max_output": 10}, {"max_output_tokens": 100}, 10),
        ({"max_output": 10, "choices": 3}, {}, 30),
        ({}, {"max_output_tokens": 100, "context_window": 1000}, 100),
        ({}, {"context_window": 1000}, 1000),
        ({}, {}, OUTPUT_UNKNOWN),
        ({}, {"defaults": {"max_tokens": 7}, "max_output_tokens": 100}, 7),
        ({"max_output": 10}, {"defaults": {"max_tokens": 7}}, 10),
        ({}, {"defaults": {"temperature": 0}, "max_output_tokens": 100}, 100),
        ({"max_output": 10}, {"overrides": {"max_completion_tokens": 70}}, 70),
        ({"max_output": 10}, {"overrides": {"max_tokens": 7}}, 10),
        ({}, {"overrides": {"max_tokens": 7}, "max_output_tokens": 100}, 7),
        ({"max_output": 10}, {"overrides": {"n": 4}}, 40),
        ({"max_output": 10}, {"defaults": {"n": 2}}, 20),
        ({"max_output": 10, "choices": 3}, {"defaults": {"n": 2}, "overrides": {"seed": 1}}, 30),
        ({"operation": EMBEDDINGS}, {"max_output_tokens": 100}, 0),
    ],
)
def test_output_is_what_the_request_is_sent_with(needs: dict[str, Any], given: dict[str, Any], output: int) -> None:
    asked = RequestNeeds(**{"operation": CHAT} | needs)
    assert upper_bound(asked, model("p.m", **given)).tokens_out == output


def test_the_cost_is_of_both_and_of_the_request() -> None:
    estimate = upper_bound(replace(CHAT_NEEDS, most=3, max_output=4), model("p.m", pricing=PRICED))
    assert estimate == (3, 4, 3 + 8 + 5)
    assert estimate.tokens == 7


def test_a_long_prompt_has_its_own_prices_for_all_of_it() -> None:
    tiered = Pricing(1_000_000, 2_000_000, 500_000, per_request=5, long_prompts=(LongPrompt(10, 3_000_000, 4_000_000),))
    assert tiered.cost(10, 1) == 10 + 2 + 5
    assert tiered.cost(11, 1) == 33 + 4 + 5
    assert tiered.cost(11, 1, 10) == 33 + 4 + 5, "cached as input, where no price is known"
    assert tiered.cost(10, 1, 10) == 5 + 2 + 5


# -- why so many -----------------------------------------------------------------------------------------


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"(?<![A-Za-z0-9_])\d+(?![A-Za-z0-9_])", text)]


@given(
    some.builds(
        RequestNeeds,
        some.sampled_from([CHAT, COMPLETION]),
        tools=some.booleans(),
        images=some.integers(0, 3),
        most=some.integers(800, 10**6),
        counts=some.sampled_from([{}, {"o200k_base": 90}]),
        attached=some.integers(0, 10**5),
        max_output=some.none() | some.integers(1, 10**5),
        predicted=some.integers(0, 99),
        choices=some.integers(1, 3),
    ),
    some.sampled_from(["", "o200k_base"]),
    some.sampled_from([0, 85]),
    some.none() | some.integers(1, 10**5),
    some.none() | some.integers(1, 10**5),
    some.sampled_from([{}, {"max_tokens": 7}, {"max_completion_tokens": 8, "n": 2}]),
    some.sampled_from([{}, {"max_tokens": 50_000}, {"n": 4}]),
)
def test_the_reasons_add_up_to_what_is_reserved(
    needs: RequestNeeds,
    vocabulary: str,
    per_image: int,
    window: int | None,
    most: int | None,
    defaults: dict[str, int],
    overrides: dict[str, int],
) -> None:
    spec = model(
        "p.m", vocabulary=vocabulary, tokens_per_image=per_image, context_window=window, max_output_tokens=most,
        defaults=defaults, overrides=overrides,
    )  # fmt: skip
    reserved = upper_bound(needs, spec)
    total = 0
    for part in why_input(needs, spec).split(", "):
        numbers = _numbers(part)
        total += numbers[0] * (numbers[1] if len(numbers) > 1 else 1)
    assert total == reserved.tokens_in
    why, _, each = why_output(needs, spec).partition("; for each of ")
    answers = int(each.split()[0]) if each else 1
    assert sum(_numbers(why)) * answers == reserved.tokens_out


def test_the_reasons_are_said_plainly() -> None:
    needs = replace(CHAT_NEEDS, most=937, tools=True)
    assert why_input(needs, model("p.m")) == (
        "at most one for each of 169 bytes, 128 for its provider's template, 640 for tools"
    )
    assert why_output(needs, model("p.m")) == f"no limit is known: {OUTPUT_UNKNOWN}"
    assert why_output(needs, model("p.m", max_output_tokens=8)) == "no limit in the request, and it writes at most 8"
    assert why_output(RequestNeeds(EMBEDDINGS), model("p.m")) == ""


# -- writes to a cache ----------------------------------------------------------------------------------

WRITER = model("p.m", pricing=Pricing(input_per_1m=1_000_000), cache_write_percent=125)


@pytest.mark.parametrize(("caches", "percent"), [("", 100), ("short", 125), ("lasting", 200)])
def test_what_is_marked_for_a_cache_is_reserved_at_its_price(caches: Any, percent: int) -> None:
    needs = replace(CHAT_NEEDS, most=1000, max_output=1, caches=caches)
    assert upper_bound(needs, WRITER).cost == 1000 * percent // 100
    assert write_percent(needs, model("p.m", cache_write_percent=100)) == 100, "it charges nothing for it"
    asked = replace(needs, caches="")
    assert write_percent(asked, model("p.m", cache_write_percent=125, caches_unasked=True)) == 125


@pytest.mark.parametrize(
    ("usage", "percent", "cost"),
    [
        (Usage(1000), 100, 1000),
        (Usage(1000), 125, 1250),  # nothing is said of the cache
        (Usage(1000, cached_tokens=400), 125, 1150),
        (Usage(1000, written_tokens=0), 125, 1000),
        (Usage(1000, written_tokens=100), 200, 1100),
        (Usage(1000, written_tokens=100), 100, 1025),  # not asked for, and charged
    ],
)
def test_it_is_settled_by_what_was_written(usage: Usage, percent: int, cost: int) -> None:
    assert cost_of(usage, WRITER, percent) == cost


@given(
    some.integers(1, 10**6),
    some.integers(0, 10**6),
    some.integers(0, 10**6),
    some.sampled_from(["", "short", "lasting"]),
)
def test_no_report_settles_above_the_reservation(tokens: int, cached: int, written: int, caches: Any) -> None:
    needs = replace(CHAT_NEEDS, most=tokens, max_output=1, caches=caches)
    cached = min(cached, tokens)
    usage = Usage(tokens, 0, cached, min(written, tokens - cached) if caches else 0)
    assert cost_of(usage, WRITER, write_percent(needs, WRITER)) <= upper_bound(needs, WRITER).cost


def test_writes_to_a_cache_by_the_pools_rule_are_reserved_and_settled_by_what_is_reported() -> None:
    needs, dear = replace(CHAT_NEEDS, most=1000, max_output=10), model("p.m", pricing=PRICED, cache_write_percent=125)
    plain, marks = (mesh(dear, mark_caches=marks).question(needs) for marks in (False, True))
    asked = replace(needs, caches="short")
    assert marks.estimate(dear) == upper_bound(asked, dear)
    assert marks.estimate(dear).cost > plain.estimate(dear).cost
    assert write_percent(marks.needs, dear) == 100, "what reports no writes made none"
    assert cost_of(Usage(100, 10), dear, 100) < cost_of(Usage(100, 10, written_tokens=50), dear, 100)


@pytest.mark.parametrize(("lasting", "percents"), [(0, 50 * 25), (20, 30 * 25 + 20 * 100), (50, 50 * 100)])
def test_writes_for_an_hour_cost_more_than_those_for_minutes(lasting: int, percents: int) -> None:
    dear = model("p.m", cache_write_percent=125, pricing=Pricing(input_per_1m=100_000_000))
    plain, usage = Usage(100, 0), Usage(100, 0, written_tokens=50, lasting_tokens=lasting)
    for percent in (100, 125, 200):
        assert cost_of(usage, dear, percent) - cost_of(plain, dear, 100) == percents
    assert units_of(usage) == {"tokens_written": 50} | ({"tokens_written_lasting": lasting} if lasting else {})
