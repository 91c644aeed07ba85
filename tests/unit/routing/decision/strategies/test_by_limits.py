"""Strategies by the room that limits leave, what follows on a list of priorities, and scores."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec import structs

from meshd.routing.availability.state import Availability
from meshd.routing.decision.strategies.scored import Scored
from meshd.routing.rates.rates import Headroom, Rates
from meshd.routing.request.question import Question, Requester
from meshd.routing.select.expression import compile_selection
from meshd.routing.table.policies import PacingPolicy
from meshd.routing.table.specs import ModelSpec
from tests.support.routing.causes import resting
from tests.support.routing.routing_builders import NOW, PRIORITY, ROUND_ROBIN, STICK, STRATEGIES, Mesh, mesh, model

pytestmark = pytest.mark.interpreted

AWARE = "modelmesh.rate-limit-aware.v1"
BALANCED = "modelmesh.load-balanced.v1"
COST = "modelmesh.cost-first.v1"


@dataclass
class Rooms(Rates):
    """Headroom as given; all of it where nothing is."""

    given: dict[str, Headroom] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()

    def headroom(self, question: Question, model: ModelSpec) -> Headroom:
        return self.given.get(model.id, Headroom())

    def headrooms(self, question: Question, members: Sequence[ModelSpec]) -> list[Headroom]:
        return [self.headroom(question, model) for model in members]

    def headrooms_of_providers(self, question: Question, ids: Any, one_of_each: Any) -> None:
        """None: each model has its own."""


def with_rooms(made: Mesh, **fractions: float) -> Mesh:
    made.state.rates = Rooms({f"p.{name}": Headroom(fraction) for name, fraction in fractions.items()})
    return made


def order(made: Mesh) -> list[str]:
    return list(made.pipeline.strategy_of(made.pool).order(made.question()))


def take(made: Mesh) -> tuple[str, str | None]:
    """The first that is up, and the model that the pool leaves by it."""
    first = next(id for id in order(made) if not made.member(id).standby)
    return first, made.pipeline.strategy_of(made.pool).chosen(made.question(), first)


def down(made: Mesh, id: str) -> None:
    made.state.member("chat", id).availability = Availability(standby=True, until=NOW + 10**6, why=resting("it fails"))


def up(made: Mesh, id: str) -> None:
    made.state.member("chat", id).availability = Availability()


# -- rate-limit-aware ----------------------------------------------------------------------------------


def test_it_stays_below_the_threshold_and_leaves_a_model_past_it() -> None:
    made = with_rooms(mesh("p.a", "p.b", "p.c", strategy=AWARE), a=0.11)
    assert [take(made), take(made)] == [("p.a", None), ("p.a", None)]
    with_rooms(made, a=0.09)
    assert [take(made), take(made)] == [("p.b", "p.a"), ("p.b", None)]
    assert not made.member("p.a").standby, "it is not deactivated"
    with_rooms(made)
    assert take(made) == ("p.b", None), "it sticks"
    with_rooms(made, b=0.0)
    assert take(made) == ("p.c", "p.b")


def test_the_threshold_is_the_pools() -> None:
    made = with_rooms(mesh("p.a", "p.b", strategy=AWARE, pacing=PacingPolicy(threshold=0.5)), a=0.4)
    assert order(made) == ["p.b", "p.a"]
    made = with_rooms(mesh("p.a", "p.b", strategy=AWARE, pacing=PacingPolicy(threshold=1.0)), a=0.01)
    assert order(made) == ["p.a", "p.b"]


@pytest.mark.parametrize(("threshold", "left"), [(0.9, 0.1), (0.5, 0.5), (1.0, 0.0), (0.7, 0.3)])
def test_a_limit_that_is_used_to_the_threshold_is_used_enough(threshold: float, left: float) -> None:
    made = with_rooms(mesh("p.a", "p.b", strategy=AWARE, pacing=PacingPolicy(threshold=threshold)), a=left)
    assert order(made) == ["p.b", "p.a"]
    with_rooms(made, a=left + 0.001)
    assert order(made) == ["p.a", "p.b"]


def test_where_all_are_past_it_the_one_with_most_room_is_asked_and_the_pool_stays() -> None:
    made = with_rooms(mesh("p.a", "p.b", "p.c", strategy=AWARE))
    take(made)
    with_rooms(made, a=0.01, b=0.05, c=0.03)
    assert order(made) == ["p.b", "p.c", "p.a"]
    assert take(made) == ("p.b", None)
    assert made.state.pool("chat").current == "p.a"
    with_rooms(made, a=0.01, b=0.05)
    assert take(made) == ("p.c", "p.a")


def test_a_model_that_is_down_is_left_for_one_without_room_too() -> None:
    made = with_rooms(mesh("p.a", "p.b", strategy=AWARE))
    take(made)
    with_rooms(made, a=0.01, b=0.01)
    down(made, "p.a")
    assert take(made) == ("p.b", "p.a")


def test_a_request_that_passes_over_one_with_room_does_not_move_the_pool() -> None:
    made = with_rooms(mesh("p.a", "p.b", "p.c", strategy=AWARE), a=0.01)
    made.state.pool("chat").current = "p.a"
    assert made.pipeline.strategy_of(made.pool).chosen(made.question(), "p.c") is None
    assert made.state.pool("chat").current == "p.a"


# -- load-balanced -------------------------------------------------------------------------------------


def firsts(made: Mesh, count: int = 4000) -> Counter[str]:
    draw = random.Random(7).random
    question = structs.replace(made.question(), requester=Requester(random=draw))
    return Counter(next(iter(made.pipeline.strategy_of(made.pool).order(question))) for _ in range(count))


@pytest.mark.parametrize(
    ("rooms", "share"),
    [
        ((Headroom(0.9), Headroom(0.1)), 0.9),
        ((Headroom(1.0, requests=900), Headroom(1.0, requests=100)), 0.9),
        ((Headroom(0.5, tokens=3000), Headroom(1.0, tokens=1000)), 0.75),
        ((Headroom(0.5, requests=50, tokens=100), Headroom(1.0, tokens=300)), 0.25),
        ((Headroom(0.5, requests=50), Headroom(0.5)), 0.5),
    ],
)
def test_relative_is_in_proportion_to_what_is_left(rooms: tuple[Headroom, Headroom], share: float) -> None:
    made = mesh("p.a", "p.b", strategy=BALANCED)
    made.state.rates = Rooms(dict(zip(("p.a", "p.b"), rooms, strict=True)))
    assert firsts(made)["p.a"] / 4000 == pytest.approx(share, abs=0.03)


def test_weight_multiplies_what_is_left() -> None:
    made = with_rooms(mesh(model("p.a", weight=3.0), "p.b", model("p.none", weight=0.0), strategy=BALANCED))
    had = firsts(made)
    assert had["p.a"] / 4000 == pytest.approx(0.75, abs=0.03)
    assert had["p.none"] == 0


def test_those_without_room_are_last_and_yet_there() -> None:
    made = with_rooms(mesh("p.a", "p.b", "p.c", strategy=BALANCED), a=0.0, c=-0.1)
    assert order(made) == ["p.b", "p.a", "p.c"]
    assert order(with_rooms(mesh("p.a", "p.b", strategy=BALANCED), a=0.0, b=0.0)) == ["p.a", "p.b"]


def test_what_one_that_is_down_would_have_had_is_shared_alike() -> None:
    made = with_rooms(mesh("p.down", "p.a", "p.b", strategy=BALANCED), down=0.9, a=0.6, b=0.2)
    draw = random.Random(7).random
    question = structs.replace(made.question(), requester=Requester(random=draw))
    had: Counter[str] = Counter()
    for _ in range(4000):
        had[next(id for id in made.pipeline.strategy_of(made.pool).order(question) if id != "p.down")] += 1
    assert had["p.a"] / 4000 == pytest.approx(0.75, abs=0.03)


@given(some.lists(some.floats(0, 1), min_size=1, max_size=6), some.floats(0, 1, exclude_max=True))
def test_an_order_by_room_is_all_members_once(fractions: list[float], draw: float) -> None:
    ids = [f"p.m{number}" for number in range(len(fractions))]
    made = mesh(*ids, strategy=BALANCED)
    made.state.rates = Rooms({id: Headroom(each) for id, each in zip(ids, fractions, strict=True)})
    question = structs.replace(made.question(), requester=Requester(random=lambda: draw))
    assert sorted(made.pipeline.strategy_of(made.pool).order(question)) == ids


def test_absolute_is_in_turn_whatever_they_weigh_and_have_left() -> None:
    made = mesh(model("p.a", weight=5.0), "p.b", "p.c", strategy=BALANCED, balance_mode="absolute")
    with_rooms(made, b=0.01)
    assert [take(made) for _ in range(6)] == [("p.a", None), ("p.b", None), ("p.c", None)] * 2


def test_sharing_is_not_rotation() -> None:
    made = with_rooms(mesh("p.a", "p.b", strategy=BALANCED))
    assert [made.pipeline.strategy(BALANCED).chosen(made.question(), id) for id in ("p.a", "p.b", "p.a")] == [None] * 3
    assert made.state.pool("chat").current == "p.a"


# -- fallback_strategy ---------------------------------------------------------------------------------


def test_the_rest_of_a_priority_list_is_in_the_order_of_the_fallback() -> None:
    made = mesh("p.a", "p.b", "q.c", "p.d", strategy=PRIORITY, model_priority=("p.d",), fallback_strategy=COST)
    made.state.model("p.a").cost = 5
    made.state.model("p.b").cost = 9
    assert order(made) == ["p.d", "q.c", "p.a", "p.b"]


def test_the_fallback_takes_its_turns_and_leaving_the_list_is_a_rotation() -> None:
    made = mesh("p.top", "p.a", "p.b", strategy=PRIORITY, model_priority=("p.top",), fallback_strategy=ROUND_ROBIN)
    assert take(made) == ("p.top", None)
    down(made, "p.top")
    assert [take(made) for _ in range(4)] == [("p.a", "p.top"), ("p.b", None), ("p.a", None), ("p.b", None)]
    up(made, "p.top")
    assert take(made) == ("p.top", "p.b")


def test_a_fallback_that_sticks_does() -> None:
    made = mesh("p.top", "p.a", "p.b", strategy=PRIORITY, model_priority=("p.top",), fallback_strategy=STICK)
    down(made, "p.top")
    down(made, "p.a")
    assert take(made) == ("p.b", None)
    up(made, "p.a")
    assert take(made) == ("p.b", None)
    down(made, "p.b")
    assert take(made) == ("p.a", "p.b")


def test_a_request_that_the_list_cannot_serve_leaves_the_pool_where_it_stands() -> None:
    made = mesh("p.top", "p.a", strategy=PRIORITY, model_priority=("p.top",), fallback_strategy=ROUND_ROBIN)
    take(made)
    assert made.pipeline.strategy(PRIORITY).chosen(made.question(), "p.a") is None
    assert made.state.pool("chat").current == "p.top"


@pytest.mark.parametrize("fallback", [PRIORITY, "unknown.v1", None])
def test_no_other_strategy_to_fall_back_on_is_the_pools_order(fallback: str | None) -> None:
    made = mesh("p.a", "p.b", strategy=PRIORITY, model_priority=("p.b",), fallback_strategy=fallback)
    assert order(made) == ["p.b", "p.a"]


@pytest.mark.parametrize("fallback", STRATEGIES)
def test_every_strategy_can_be_the_fallback(fallback: str) -> None:
    made = with_rooms(
        mesh("p.a", "q.b", "p.c", strategy=PRIORITY, provider_priority=("q",), fallback_strategy=fallback)
    )
    for _ in range(5):
        assert order(made)[0] == "q.b"
        assert sorted(order(made)) == ["p.a", "p.c", "q.b"]
        take(made)


# -- scores --------------------------------------------------------------------------------------------


def test_a_live_score_comes_before_the_strategy_which_decides_between_equals() -> None:
    made = mesh("p.a", "p.b", "p.c", strategy=ROUND_ROBIN, select=compile_selection("-in_flight"))
    assert isinstance(made.pipeline.strategy_of(made.pool), Scored)
    assert [take(made)[0] for _ in range(3)] == ["p.a", "p.b", "p.c"]
    made.state.model("p.a").in_flight = 2
    made.state.model("p.b").in_flight = 1
    assert order(made) == ["p.c", "p.b", "p.a"]


def test_those_that_are_not_selected_come_last() -> None:
    made = mesh("p.a", "p.b", "p.c", select=compile_selection("in_flight < 2 and in_flight"))
    made.state.model("p.a").in_flight = 2
    made.state.model("p.c").in_flight = 1
    assert order(made) == ["p.c", "p.b", "p.a"]


def test_a_better_score_is_not_rotation_unless_the_last_is_down() -> None:
    made = mesh("p.a", "p.b", select=compile_selection("-in_flight"))
    assert take(made) == ("p.a", None)
    made.state.model("p.a").in_flight = 1
    assert take(made) == ("p.b", None)
    assert made.state.pool("chat").current == "p.b"
    down(made, "p.b")
    assert take(made) == ("p.a", "p.b")


def test_a_selection_that_only_filters_leaves_the_order_to_the_strategy() -> None:
    for made in (mesh("p.a", select=compile_selection("in_flight < 2")), mesh("p.a")):
        assert made.pipeline.strategy_of(made.pool) is made.pipeline.strategy(STICK)
