"""Strategies of other packages: what they get, and what happens with nonsense."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Any

import pytest

from meshd.core.needs import RequestNeeds
from meshd.core.prices import Pricing
from meshd.operations.chat import CHAT
from meshd.routing.availability.state import Availability
from meshd.routing.decision.strategies.outside import OutsideStrategy
from meshd.routing.table.specs import ProviderSpec, RateSpec
from meshd.sdk.strategy import Candidate, RequestFacts, Strategy
from tests.support.routing.causes import resting
from tests.support.routing.routing_builders import NOW, PRIORITY, Mesh, mesh, model

ID = "acme.strategy.v1"
Order = Callable[[RequestFacts, Sequence[Candidate]], Any]


class Given(Strategy):
    """Answers what the test says, and keeps what it was told."""

    def __init__(self, answer: Order) -> None:
        super().__init__({})
        self.answer = answer
        self.told: list[tuple[RequestFacts, Sequence[Candidate], float, float]] = []

    def order(
        self, request: RequestFacts, candidates: Sequence[Candidate], now: float, random: Callable[[], float]
    ) -> Iterable[str]:
        self.told.append((request, candidates, now, random()))
        return self.answer(request, candidates)  # type: ignore[no-any-return]


def outside(answer: Order, *models: Any, strategy: str = ID, **pool: Any) -> tuple[Mesh, Given, list[tuple[str, str]]]:
    made = mesh(*(models or ("p.a", "p.b", "p.c")), strategy=strategy, **pool)
    given, reports = Given(answer), []

    def report(pool: str, why: str) -> None:
        reports.append((pool, why))

    adapter = OutsideStrategy(made.pipeline, report)
    adapter.use({"chat": given})
    made.pipeline.add_strategy(ID, adapter)
    return made, given, reports


def preferred(made: Mesh, needs: RequestNeeds | None = None) -> list[str]:
    return list(made.pipeline.preferred(made.question(needs or RequestNeeds(CHAT))))


def test_its_order_is_followed_and_the_rest_comes_after() -> None:
    made, _, reports = outside(lambda request, candidates: ["p.c"])
    assert preferred(made) == ["p.c", "p.a", "p.b"]
    assert made.ask() == "p.c"
    made.state.member("chat", "p.c").availability = Availability(standby=True, until=NOW + 99, why=resting("it fails"))
    assert made.ask() == "p.a"
    assert reports == []


def test_a_strategy_may_name_no_model_or_yield_them_lazily() -> None:
    assert preferred(outside(lambda request, candidates: ())[0]) == ["p.a", "p.b", "p.c"]
    assert preferred(outside(lambda request, candidates: (each.id for each in reversed(candidates)))[0]) == [
        "p.c",
        "p.b",
        "p.a",
    ]


def test_what_it_is_told() -> None:
    dear = model("p.dear", pricing=Pricing(input_per_1m=10**9, output_per_1m=0), weight=2.0)
    unknown = model("q.unknown", priced=False)
    limited = ProviderSpec("q", "modelmesh.scripted.v1", rate=RateSpec(rpm=4))
    made, given, _ = outside(lambda request, candidates: (), dear, unknown, providers=[limited])
    known = made.state.model("p.dear")
    known.in_flight, known.last_request = 3, NOW - 7
    made.state.pool("chat").current = "p.dear"
    made.state.member("chat", "q.unknown").availability = Availability(
        standby=True, until=NOW + 99, why=resting("it fails")
    )
    needs = RequestNeeds(CHAT, stream=True, tools=True, tokens=1000, most=1000, max_output=5)
    preferred(made, needs)
    ((request, candidates, now, random),) = given.told
    assert request == RequestFacts(
        "chat.completions", stream=True, input_tokens=1000, max_output_tokens=5, uses=("tool_calling",)
    )
    assert (now, random) == (NOW, 0.5)
    first, second = candidates
    assert (first.id, first.provider, first.weight, first.current, first.up) == ("p.dear", "p", 2.0, True, True)
    assert (first.in_flight, first.idle, first.headroom) == (3, 7.0, 1.0)
    assert first.cost == pytest.approx(0.001)
    assert (first.first_token, first.total) == (None, None)
    assert (second.cost, second.up, second.current, second.idle) == (None, False, False, None)


def fails(request: RequestFacts, candidates: Sequence[Candidate]) -> Any:
    raise RuntimeError("no\nluck")


def exits(request: RequestFacts, candidates: Sequence[Candidate]) -> Any:
    raise SystemExit


NONSENSE: list[tuple[Order, str]] = [
    (fails, "RuntimeError: no luck"),
    (exits, "SystemExit"),
    (lambda request, candidates: None, "TypeError: 'NoneType' object is not iterable"),
    (lambda request, candidates: "p.a", "ValueError: it answered with the text 'p.a', not with a list of ids"),
    (lambda request, candidates: ["p.z"], "ValueError: it named 'p.z', which is not a model of the pool"),
    pytest.param(
        lambda request, candidates: candidates, "ValueError: it named Candidate(", marks=pytest.mark.interpreted
    ),
    (lambda request, candidates: ["p.a", "p.a"], "ValueError: it named a model twice"),
    (lambda request, candidates: repeat("p.b"), "ValueError: it named a model twice"),
    (lambda request, candidates: (1 / 0 for _ in candidates), "ZeroDivisionError: division by zero"),
]


@pytest.mark.parametrize(("answer", "why"), NONSENSE)
def test_nonsense_sets_it_aside_and_the_default_strategy_takes_over(answer: Order, why: str) -> None:
    made, given, reports = outside(answer)
    made.state.pool("chat").current = "p.b"
    assert preferred(made) == ["p.b", "p.c", "p.a"], "as stick-until-failure orders them"
    assert made.ask() == "p.b"
    ((pool, said),) = reports
    assert pool == "chat"
    assert said.startswith(why)
    assert len(given.told) == 1, "it is not asked again"


def test_another_configuration_gives_it_a_new_chance() -> None:
    made, _, reports = outside(fails)
    assert made.ask() == "p.a"
    adapter = made.pipeline.strategy(ID)
    assert isinstance(adapter, OutsideStrategy)
    adapter.use({"chat": Given(lambda request, candidates: ["p.c"])})
    assert made.ask() == "p.c"
    adapter.use({})
    assert made.ask() == "p.c", "the default strategy stays at the model that was asked last"
    assert len(reports) == 1


def test_it_can_be_the_fallback_of_a_list_of_priorities() -> None:
    made, _, _ = outside(
        lambda request, candidates: ["p.c", "p.b"], strategy=PRIORITY, model_priority=("p.b",), fallback_strategy=ID
    )
    assert preferred(made) == ["p.b", "p.c", "p.a"]


def test_a_name_is_taken_once() -> None:
    made, _, _ = outside(lambda request, candidates: ())
    with pytest.raises(ValueError, match=ID):
        made.pipeline.add_strategy(ID, OutsideStrategy(made.pipeline, lambda pool, why: None))
