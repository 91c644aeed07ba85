"""The most a request can use of a model: never less than it will."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from routing_builders import CHAT_NEEDS, model

from meshd.cdk.provider import Operation
from meshd.routing.estimate import IMAGE_TOKENS, OUTPUT_UNKNOWN, at_most
from meshd.routing.needs import Needs
from meshd.routing.table import LongPrompt, Pricing

PRICED = Pricing(input_per_1m=1_000_000, output_per_1m=2_000_000, per_request=5)


def test_input_is_counted_else_its_bytes() -> None:
    needs = replace(CHAT_NEEDS, most=400, counts={"o200k_base": 90})
    assert at_most(needs, model("p.m", vocabulary="o200k_base")).tokens_in == 90
    assert at_most(needs, model("p.m", vocabulary="cl100k_base")).tokens_in == 400
    assert at_most(needs, model("p.m")).tokens_in == 400


def test_images_and_files_are_the_models() -> None:
    needs = replace(CHAT_NEEDS, most=100, images=2, attached=9000)
    assert at_most(needs, model("p.m")).tokens_in == 100 + 2 * IMAGE_TOKENS + 9000
    assert at_most(needs, model("p.m", tokens_per_image=1445)).tokens_in == 100 + 2 * 1445 + 9000
    small = model("p.m", tokens_per_image=1, context_window=4000)
    assert at_most(needs, small).tokens_in == 100 + 2 + 4000, "no more of a file than fits"


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
        ({"operation": Operation.EMBEDDINGS}, {"max_output_tokens": 100}, 0),
    ],
)
def test_output_is_what_the_request_is_sent_with(needs: dict[str, Any], given: dict[str, Any], output: int) -> None:
    asked = Needs(**{"operation": Operation.CHAT} | needs)
    assert at_most(asked, model("p.m", **given)).tokens_out == output


def test_the_cost_is_of_both_and_of_the_request() -> None:
    estimate = at_most(replace(CHAT_NEEDS, most=3, max_output=4), model("p.m", pricing=PRICED))
    assert estimate == (3, 4, 3 + 8 + 5)
    assert estimate.tokens == 7


def test_a_long_prompt_has_its_own_prices_for_all_of_it() -> None:
    tiered = Pricing(1_000_000, 2_000_000, 500_000, per_request=5, long_prompt=LongPrompt(10, 3_000_000, 4_000_000))
    assert tiered.cost(10, 1) == 10 + 2 + 5
    assert tiered.cost(11, 1) == 33 + 4 + 5
    assert tiered.cost(11, 1, 10) == 33 + 4 + 5, "cached as input, where no price is known"
    assert tiered.cost(10, 1, 10) == 5 + 2 + 5
