"""Strategies that choose for each request: by cost and by latency."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from meshd.core.needs import RequestNeeds
from meshd.core.prices import Pricing
from meshd.operations.chat import CHAT
from meshd.operations.known import OPERATIONS
from meshd.routing.decision.strategies.measured import EXPLORED
from meshd.routing.table.specs import ModelSpec
from tests.support.routing.routing_builders import NOW, Mesh, mesh, model
from tests.support.routing.strategy_builders import asked, down, order, take

COST = "modelmesh.cost-first.v1"
LATENCY = "modelmesh.latency-first.v1"
SESSION = "modelmesh.session-stickiness.v1"
DOLLAR = 10**9


# -- cost-first ----------------------------------------------------------------------------------------


def priced(id: str, input: float = 0, output: float = 0, request: float = 0, **given: Any) -> ModelSpec:
    """USD a million tokens, and a request."""
    prices = Pricing(int(input * DOLLAR), int(output * DOLLAR), per_request=int(request * DOLLAR))
    return model(id, pricing=prices, **given)


def test_the_cheapest_depends_on_the_request() -> None:
    made = mesh(priced("p.reads", 1, 20), priced("p.writes", 5, 5), priced("p.flat", request=0.02), strategy=COST)
    assert order(made, RequestNeeds(CHAT, most=10_000, max_output=10))[0] == "p.reads"
    assert order(made, RequestNeeds(CHAT, most=10, max_output=1000))[0] == "p.writes"
    assert order(made, RequestNeeds(CHAT, most=90_000, max_output=9000))[0] == "p.flat"


def test_without_an_output_limit_the_models_own_counts() -> None:
    made = mesh(priced("p.a", 0, 1, max_output_tokens=9000), priced("p.b", 0, 2, max_output_tokens=100), strategy=COST)
    assert order(made) == ["p.b", "p.a"]
    assert order(made, RequestNeeds(CHAT, max_output=100)) == ["p.a", "p.b"]


def test_of_equals_the_one_that_cost_least_so_far_and_then_the_pools_order() -> None:
    made = mesh("p.dear", "p.a", "p.b", "p.c", strategy=COST)
    made.state.model("p.dear").cost = 9
    made.state.model("p.a").cost = 2
    made.state.model("p.c").cost = 0
    assert order(made) == ["p.b", "p.c", "p.a", "p.dear"]


def test_models_of_unknown_price_come_last() -> None:
    made = mesh(model("p.x", priced=False), priced("p.dear", 100), model("p.y", priced=False), strategy=COST)
    assert order(made) == ["p.dear", "p.x", "p.y"]
    assert order(mesh(model("p.x", priced=False), strategy=COST)) == ["p.x"]


def test_another_table_is_another_price() -> None:
    first = mesh(priced("p.a", 1), priced("p.b", 2), strategy=COST)
    second = mesh(priced("p.a", 2), priced("p.b", 1), strategy=COST)
    needs = RequestNeeds(CHAT, most=1000, max_output=1)
    assert (order(first, needs)[0], order(second, needs)[0], order(first, needs)[0]) == ("p.a", "p.b", "p.a")
    first.pool = replace(first.pool, members=("p.b",))
    assert order(first, needs) == ["p.b"], "nor is another pool of that name the same"


_prices = some.integers(0, 100 * DOLLAR)
_limits = some.sampled_from([{}, {}, {"max_tokens": 50}, {"max_completion_tokens": 7000}, {"n": 3}, {"temperature": 1}])


@some.composite
def _models(draw: some.DrawFn) -> list[ModelSpec]:
    return [
        model(
            f"p.{number}",
            pricing=Pricing(draw(_prices), draw(_prices), per_request=draw(_prices)),
            vocabulary=draw(some.sampled_from(["", "a", "b"])),
            max_output_tokens=draw(some.sampled_from([None, 100, 8000])),
            context_window=draw(some.sampled_from([None, 4000, 128_000])),
            tokens_per_image=draw(some.sampled_from([0, 85])),
            defaults=draw(_limits),
            overrides=draw(_limits),
        )
        for number in range(draw(some.integers(1, 8)))
    ]


@given(
    _models(),
    some.builds(
        RequestNeeds,
        operation=some.sampled_from(list(OPERATIONS.values())),
        images=some.sampled_from([0, 0, 2]),
        attached=some.sampled_from([0, 0, 10_000]),
        max_output=some.sampled_from([None, 1, 500]),
        choices=some.integers(0, 3),
        most=some.integers(0, 100_000),
        counts=some.dictionaries(some.sampled_from(["a", "b"]), some.integers(0, 100_000)),
    ),
)
def test_the_order_is_that_of_the_estimates(models: list[ModelSpec], needs: RequestNeeds) -> None:
    made = mesh(*models, strategy=COST)
    question = asked(made, needs)
    costs = [question.estimate(made.table.models[id]).cost for id in order(made, needs)]
    assert costs == sorted(costs)


def test_to_ask_another_model_is_not_rotation_unless_the_last_is_down() -> None:
    made = mesh("p.a", "p.b", "p.c", strategy=COST)
    assert [take(made, "p.a"), take(made, "p.a"), take(made, "p.b")] == [None] * 3
    assert made.state.pool("chat").current == "p.b"
    down(made, "p.b")
    assert [take(made, "p.c"), take(made, "p.c")] == ["p.b", None]


def test_a_model_that_left_the_pool_is_not_left() -> None:
    made = mesh("p.a", strategy=COST)
    made.state.pool("chat").current = "p.gone"
    assert take(made, "p.a") is None


# -- latency-first -------------------------------------------------------------------------------------


def measured(made: Mesh, first_token: float | None = None, **seconds: float) -> None:
    for name, each in seconds.items():
        known = made.state.model(f"p.{name}")
        known.total.add(each)
        known.last_request = NOW - 10
        if first_token is not None:
            known.first_token.add(first_token)


def test_the_fastest_first() -> None:
    made = mesh("p.a", "p.b", "p.c", strategy=LATENCY)
    measured(made, a=2.0, b=1.0, c=3.0)
    assert order(made) == ["p.b", "p.a", "p.c"]


def test_streams_go_by_the_time_to_their_first_token() -> None:
    made = mesh("p.a", "p.b", strategy=LATENCY)
    measured(made, first_token=0.5, a=1.0)
    measured(made, first_token=0.1, b=9.0)
    assert order(made) == ["p.a", "p.b"]
    assert order(made, RequestNeeds(CHAT, stream=True)) == ["p.b", "p.a"]


def test_a_slow_answer_weighs_more_the_newer_it_is() -> None:
    made = mesh("p.a", "p.b", strategy=LATENCY)
    measured(made, a=1.0, b=2.0)
    for _ in range(20):
        made.state.model("p.a").total.add(3.0)
    assert order(made)[0] == "p.b"
    for _ in range(20):
        made.state.model("p.a").total.add(1.0)
    assert order(made)[0] == "p.a"


def test_a_model_that_was_never_measured_is_tried_first_by_one_request_at_a_time() -> None:
    made = mesh("p.a", "p.new", "p.tried", strategy=LATENCY)
    measured(made, a=1.0)
    made.state.model("p.tried").in_flight = 1
    assert order(made) == ["p.new", "p.a", "p.tried"]
    made.state.model("p.new").in_flight = 1
    assert order(made) == ["p.a", "p.new", "p.tried"]


def test_a_model_that_failed_whoever_tried_it_is_not_tried_first_again() -> None:
    made = mesh("p.broken", "p.a", strategy=LATENCY)
    measured(made, a=1.0)
    made.state.model("p.broken").last_failure = NOW - 1000
    assert order(made) == ["p.a", "p.broken"]


def test_a_small_share_explores_and_rather_what_was_not_asked_for_long() -> None:
    made = mesh("p.best", "p.recent", "p.stale", strategy=LATENCY)
    measured(made, best=1.0, recent=2.0, stale=3.0)
    made.state.model("p.stale").last_request = NOW - 900
    steps = 10_000
    firsts = Counter(order(made, random=step / steps)[0] for step in range(steps))
    assert firsts["p.best"] == steps * (1 - EXPLORED)
    assert firsts["p.stale"] == pytest.approx(steps * EXPLORED * 900 / 910, abs=2)
    assert firsts["p.recent"] == pytest.approx(steps * EXPLORED * 10 / 910, abs=2)


def test_one_that_was_never_asked_is_explored_as_if_it_were_an_hour() -> None:
    made = mesh("p.best", "p.recent", "p.broken", strategy=LATENCY)
    measured(made, best=1.0, recent=2.0)
    made.state.model("p.broken").last_failure = NOW
    firsts = Counter(order(made, random=EXPLORED * step / 1000)[0] for step in range(1000))
    assert firsts["p.broken"] == pytest.approx(1000 * 3600 / 3610, abs=2)


def test_exploring_takes_no_model_out_of_the_order() -> None:
    made = mesh("p.a", "p.b", "p.c", strategy=LATENCY)
    measured(made, a=1.0, b=2.0)
    for step in range(100):
        assert sorted(order(made, random=step / 2000)) == ["p.a", "p.b", "p.c"]
    assert order(mesh("p.a", strategy=LATENCY), random=0.0) == ["p.a"]


def test_a_draw_at_the_very_end_finds_a_model() -> None:
    made = mesh("p.a", "p.b", "p.c", strategy=LATENCY)
    measured(made, a=1.0, b=2.0, c=3.0)
    assert order(made, random=EXPLORED * (1 - 1e-17) - 1e-12)[0] == "p.c"
