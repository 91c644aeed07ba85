"""In which order a pool's models are asked, and which one it stands on."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as some

from meshd.core.needs import RequestNeeds
from meshd.operations.chat import CHAT
from meshd.routing.availability.state import Availability
from tests.support.routing.causes import resting
from tests.support.routing.routing_builders import (
    NO_FEATURES,
    NOW,
    PRIORITY,
    ROUND_ROBIN,
    STICK,
    STRATEGIES,
    Mesh,
    mesh,
    model,
)

VISION = RequestNeeds(CHAT, images=1)


def order(made: Mesh) -> list[str]:
    return list(made.pipeline.strategy(made.pool.strategy).order(made.question()))


def down(made: Mesh, id: str) -> None:
    made.state.member("chat", id).availability = Availability(standby=True, until=NOW + 10**6, why=resting("it fails"))


def up(made: Mesh, id: str) -> None:
    made.state.member("chat", id).availability = Availability()


def take(made: Mesh, needs: RequestNeeds | None = None) -> str | None:
    """Ask once; the model that the pool leaves by it."""
    question = made.question(needs or RequestNeeds(CHAT))
    chosen = made.pipeline.decide(question).model
    assert chosen is not None
    return made.pipeline.chosen(question, chosen)


# -- stick-until-failure -------------------------------------------------------------------------------


def test_it_sticks_to_the_first_model_until_that_fails() -> None:
    made = mesh("p.a", "p.b", "p.c", strategy=STICK)
    assert [made.ask() for _ in range(3)] == ["p.a"] * 3
    down(made, "p.a")
    assert [made.ask() for _ in range(3)] == ["p.b"] * 3
    up(made, "p.a")
    assert made.ask() == "p.b", "it has not failed"
    down(made, "p.b")
    assert made.ask() == "p.c"
    down(made, "p.c")
    assert made.ask() == "p.a", "after the last comes the first"


def test_the_order_begins_with_the_model_it_stands_on() -> None:
    made = mesh("p.a", "p.b", "p.c", strategy=STICK)
    made.state.pool("chat").current = "p.b"
    assert order(made) == ["p.b", "p.c", "p.a"]


def test_a_model_that_left_the_pool_is_not_a_place_to_stand() -> None:
    made = mesh("p.a", "p.b", strategy=STICK)
    made.state.pool("chat").current = "p.gone"
    assert made.ask() == "p.a"


@pytest.mark.parametrize("strategy", [STICK, PRIORITY])
def test_a_request_that_only_another_model_can_serve_moves_no_other(strategy: str) -> None:
    made = mesh(model("p.a", features=NO_FEATURES), "p.b", strategy=strategy)
    assert made.ask(VISION) == "p.b", "the very first request, too"
    assert made.ask() == "p.a"
    assert made.ask(VISION) == "p.b"
    assert made.ask() == "p.a"


@pytest.mark.parametrize("strategy", [STICK, PRIORITY])
def test_a_pool_leaves_a_model_that_is_down_and_says_so_once(strategy: str) -> None:
    made = mesh("p.a", "p.b", strategy=strategy)
    assert [take(made), take(made)] == [None, None]
    down(made, "p.a")
    assert [take(made), take(made)] == ["p.a", None]
    assert made.state.pool("chat").current == "p.b"


# -- priority-selection --------------------------------------------------------------------------------


def test_priorities_of_models_come_before_those_of_providers_and_then_the_rest() -> None:
    made = mesh(
        "p.a",
        "q.b",
        "p.c",
        "r.d",
        "q.e",
        strategy=PRIORITY,
        model_priority=("r.d", "q.e", "unknown.x", "r.d"),
        provider_priority=("q", "nobody", "r"),
    )
    assert order(made) == ["r.d", "q.e", "q.b", "p.a", "p.c"]


def test_without_priorities_it_is_the_pools_order() -> None:
    assert order(mesh("p.a", "q.b", strategy=PRIORITY)) == ["p.a", "q.b"]


def test_the_preferred_model_is_taken_again_as_soon_as_it_is_back() -> None:
    made = mesh("p.a", "p.b", strategy=PRIORITY, model_priority=("p.b",))
    assert made.ask() == "p.b"
    down(made, "p.b")
    assert made.ask() == "p.a"
    up(made, "p.b")
    assert take(made) == "p.a"
    assert made.state.pool("chat").current == "p.b"


# -- round-robin ---------------------------------------------------------------------------------------


def test_round_robin_takes_turns() -> None:
    made = mesh("p.a", "p.b", "p.c", strategy=ROUND_ROBIN)
    assert [made.ask() for _ in range(6)] == ["p.a", "p.b", "p.c"] * 2


def test_taking_turns_is_not_rotation() -> None:
    made = mesh("p.a", "p.b", strategy=ROUND_ROBIN)
    assert [take(made) for _ in range(4)] == [None] * 4


@given(some.lists(some.sampled_from([0.25, 0.5, 1.0, 2.0, 3.0, 10.0]), min_size=1, max_size=6))
def test_turns_are_in_proportion_to_weight(weights: list[float]) -> None:
    specs = [model(f"p.{number}", weight=weight) for number, weight in enumerate(weights)]
    made = mesh(*specs, strategy=ROUND_ROBIN)
    rounds = 200
    had = Counter(made.ask() for _ in range(rounds))
    for spec in specs:
        fair = rounds * spec.weight / sum(weights)
        assert abs(had[spec.id] - fair) <= 2 + len(specs)


def test_a_model_without_weight_is_asked_only_when_no_other_is_left() -> None:
    made = mesh(model("p.a", weight=0), model("p.b", weight=0), model("p.c"), strategy=ROUND_ROBIN)
    assert {made.ask() for _ in range(10)} == {"p.c"}
    down(made, "p.c")
    assert [made.ask() for _ in range(4)] == ["p.a", "p.b", "p.a", "p.b"]
    up(made, "p.c")
    assert {made.ask() for _ in range(10)} == {"p.c"}


@pytest.mark.parametrize("weight", [0.1, 1.0, 5.0])
def test_a_model_that_comes_back_does_not_catch_up_in_a_burst(weight: float) -> None:
    made = mesh("p.a", model("p.b", weight=weight), "p.c", strategy=ROUND_ROBIN)
    made.ask()
    down(made, "p.b")
    for _ in range(1000):
        made.ask()
    up(made, "p.b")
    had = Counter(made.ask() for _ in range(40))
    assert had["p.b"] <= 40 * weight / (2 + weight) + 2
    assert had["p.b"] >= 1


def test_a_model_that_only_some_requests_suit_does_not_starve_the_others() -> None:
    made = mesh(model("p.a", features=NO_FEATURES), "p.b", strategy=ROUND_ROBIN)
    for _ in range(50):
        made.ask(VISION)
    assert Counter(made.ask() for _ in range(10))["p.a"] >= 5


def test_looking_at_the_order_takes_no_turn() -> None:
    made = mesh("p.a", "p.b", strategy=ROUND_ROBIN)
    assert order(made) == order(made) == ["p.a", "p.b"]
    made.ask()
    assert order(made) == ["p.b", "p.a"]


# -- all -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_order_is_all_members_once(strategy: str) -> None:
    made = mesh("p.a", "q.b", "p.c", strategy=strategy)
    for _ in range(5):
        assert sorted(order(made)) == sorted(made.pool.members)
        made.ask()
    assert order(mesh(strategy=strategy)) == []
