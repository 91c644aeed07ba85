"""Strategies that choose anew for each request: by its cost, by latency, by its session."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec import structs

from meshd.routing.availability import recovery
from meshd.routing.availability.state import Availability
from meshd.routing.decision.strategies import sessions
from meshd.routing.decision.strategies.measured import EXPLORED
from meshd.routing.request.needs import RequestNeeds
from meshd.routing.request.question import Question, Requester
from meshd.routing.table.specs import ModelSpec, Pricing, SessionPolicy
from meshd.sdk.provider import Operation
from tests.support.routing.routing_builders import CHAT_NEEDS, NO_FEATURES, NOW, STICK, Mesh, mesh, model

COST = "modelmesh.cost-first.v1"
LATENCY = "modelmesh.latency-first.v1"
SESSION = "modelmesh.session-stickiness.v1"
DOLLAR = 10**9


def asked(made: Mesh, needs: RequestNeeds = CHAT_NEEDS, *, session: str = "", random: float = 0.5) -> Question:
    return structs.replace(made.question(needs), requester=Requester(session=session, random=lambda: random))


def order(made: Mesh, needs: RequestNeeds = CHAT_NEEDS, **given: Any) -> list[str]:
    return list(made.pipeline.strategy(made.pool.strategy).order(asked(made, needs, **given)))


def take(made: Mesh, id: str, **given: Any) -> str | None:
    return made.pipeline.strategy(made.pool.strategy).chosen(asked(made, **given), id)


def down(made: Mesh, id: str) -> None:
    made.state.member("chat", id).availability = Availability(standby=True, until=NOW + 10**6, reason="it fails")


# -- cost-first ----------------------------------------------------------------------------------------


def priced(id: str, input: float = 0, output: float = 0, request: float = 0, **given: Any) -> ModelSpec:
    """USD a million tokens, and a request."""
    prices = Pricing(int(input * DOLLAR), int(output * DOLLAR), per_request=int(request * DOLLAR))
    return model(id, pricing=prices, **given)


def test_the_cheapest_depends_on_the_request() -> None:
    made = mesh(priced("p.reads", 1, 20), priced("p.writes", 5, 5), priced("p.flat", request=0.02), strategy=COST)
    assert order(made, RequestNeeds(Operation.CHAT, most=10_000, max_output=10))[0] == "p.reads"
    assert order(made, RequestNeeds(Operation.CHAT, most=10, max_output=1000))[0] == "p.writes"
    assert order(made, RequestNeeds(Operation.CHAT, most=90_000, max_output=9000))[0] == "p.flat"


def test_without_an_output_limit_the_models_own_counts() -> None:
    made = mesh(priced("p.a", 0, 1, max_output_tokens=9000), priced("p.b", 0, 2, max_output_tokens=100), strategy=COST)
    assert order(made) == ["p.b", "p.a"]
    assert order(made, RequestNeeds(Operation.CHAT, max_output=100)) == ["p.a", "p.b"]


def test_of_equals_the_one_that_cost_least_so_far_and_then_the_pools_order() -> None:
    made = mesh("p.dear", "p.a", "p.b", "p.c", strategy=COST)
    made.state.model("p.dear").cost = 9
    made.state.model("p.a").cost = 2
    made.state.model("p.c").cost = 0
    assert order(made) == ["p.b", "p.c", "p.a", "p.dear"]


def test_models_whose_price_nobody_knows_come_last() -> None:
    made = mesh(model("p.x", priced=False), priced("p.dear", 100), model("p.y", priced=False), strategy=COST)
    assert order(made) == ["p.dear", "p.x", "p.y"]
    assert order(mesh(model("p.x", priced=False), strategy=COST)) == ["p.x"]


def test_another_table_is_another_price() -> None:
    first = mesh(priced("p.a", 1), priced("p.b", 2), strategy=COST)
    second = mesh(priced("p.a", 2), priced("p.b", 1), strategy=COST)
    needs = RequestNeeds(Operation.CHAT, most=1000, max_output=1)
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
        operation=some.sampled_from(Operation),
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


def test_to_ask_another_model_is_no_rotation_unless_the_last_is_down() -> None:
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
    assert order(made, RequestNeeds(Operation.CHAT, stream=True)) == ["p.b", "p.a"]


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


def test_exploring_takes_nobody_out_of_the_order() -> None:
    made = mesh("p.a", "p.b", "p.c", strategy=LATENCY)
    measured(made, a=1.0, b=2.0)
    for step in range(100):
        assert sorted(order(made, random=step / 2000)) == ["p.a", "p.b", "p.c"]
    assert order(mesh("p.a", strategy=LATENCY), random=0.0) == ["p.a"]


def test_a_draw_at_the_very_end_finds_somebody() -> None:
    made = mesh("p.a", "p.b", "p.c", strategy=LATENCY)
    measured(made, a=1.0, b=2.0, c=3.0)
    assert order(made, random=EXPLORED * (1 - 1e-17) - 1e-12)[0] == "p.c"


# -- session-stickiness --------------------------------------------------------------------------------

SESSIONS = [f"session {number}" for number in range(2000)]


def homes(*models: ModelSpec | str) -> dict[str, str]:
    made = mesh(*models, strategy=SESSION)
    return {session: order(made, session=session)[0] for session in SESSIONS}


def test_a_session_is_at_the_same_model_every_time() -> None:
    made = mesh(*(f"p.{number}" for number in range(10)), strategy=SESSION)
    first = order(made, session="s")
    assert sorted(first) == sorted(made.pool.members)
    made.state.pool("chat").current = first[-1]
    assert order(made, session="s") == first
    assert list(homes("p.a", "p.b", "p.c").values()) == list(homes("p.c", "p.a", "p.b").values())


def test_where_a_session_belongs_does_not_change_with_the_process() -> None:
    assert order(mesh("p.a", "p.b", "p.c", "p.d", strategy=SESSION), session="x") == ["p.c", "p.d", "p.a", "p.b"]


@given(some.integers(2, 8), some.data())
def test_losing_a_model_moves_only_its_own_sessions(count: int, data: some.DataObject) -> None:
    weights = data.draw(some.lists(some.sampled_from([1.0, 1.0, 2.0, 0.5, 0.0]), min_size=count, max_size=count))
    specs = [model(f"p.{number}", weight=weight) for number, weight in enumerate(weights)]
    lost = data.draw(some.sampled_from(specs))
    before = mesh(*specs, strategy=SESSION)
    after = mesh(*(spec for spec in specs if spec is not lost), strategy=SESSION)
    for session in SESSIONS[:50]:
        kept = [id for id in order(before, session=session) if id != lost.id]
        assert order(after, session=session) == kept, "whoever was behind it in its own order has the session now"


def test_what_a_lost_model_had_goes_to_all_the_others() -> None:
    ids = ["p.a", "p.b", "p.c", "p.d"]
    before, after = homes(*ids), homes(*ids[1:])
    moved = Counter(after[session] for session in SESSIONS if before[session] == "p.a")
    assert set(moved) == {"p.b", "p.c", "p.d"}
    assert min(moved.values()) > 0.2 * sum(moved.values())


def test_sessions_are_spread_by_weight() -> None:
    had = Counter(homes(model("p.a", weight=3.0), "p.b", model("p.none", weight=0.0)).values())
    assert had["p.a"] == pytest.approx(len(SESSIONS) * 0.75, rel=0.1)
    assert had["p.none"] == 0
    assert min(Counter(homes("p.a", "p.b", "p.c", "p.d").values()).values()) > len(SESSIONS) / 4 * 0.85


def test_one_without_weight_has_the_sessions_that_no_other_can_serve() -> None:
    made = mesh(model("p.a", weight=0.0), "p.b", model("p.c", weight=0.0), strategy=SESSION)
    lasts = Counter(order(made, session=session)[-1] for session in SESSIONS)
    assert set(lasts) == {"p.a", "p.c"}


def test_without_a_session_it_sticks_until_failure() -> None:
    made = mesh("p.a", "p.b", strategy=SESSION)
    made.state.pool("chat").current = "p.b"
    assert order(made) == list(made.pipeline.strategy(STICK).order(made.question()))
    down(made, "p.b")
    assert take(made, "p.a") == "p.b"
    assert made.state.pool("chat").current == "p.a"


def test_a_session_moves_nobody_else() -> None:
    made = mesh("p.a", "p.b", strategy=SESSION)
    assert take(made, "p.b", session="s") is None
    assert made.state.pool("chat").current is None
    assert order(mesh(strategy=SESSION), session="s") == []


def moving(ttl: float | None) -> tuple[Mesh, str, str]:
    """A pool; the model that the session "s" belongs to, and the one that has it when that is down."""
    made = mesh("p.a", "q.b", "r.c", strategy=SESSION, session=SessionPolicy(ttl=ttl))
    home, second, _ = order(made, session="s")
    return made, home, second


def ask(made: Mesh, session: str = "s", needs: RequestNeeds = CHAT_NEEDS) -> str:
    """Whom a request of the session is sent to."""
    question = asked(made, needs, session=session)
    decision = made.pipeline.decide(question)
    assert decision.model is not None
    made.pipeline.chosen(question, decision.model)
    return decision.model.id


def well_again(made: Mesh, id: str) -> None:
    recovery.reset(made.member(id), made.now)


def test_a_session_that_had_to_move_goes_back_at_once_or_stays_until_it_was_quiet() -> None:
    made, home, second = moving(ttl=None)
    down(made, home)
    assert ask(made) == second
    well_again(made, home)
    assert ask(made) == home
    assert made.state.pool("chat").moved == {}

    made, home, second = moving(ttl=60.0)
    assert ask(made) == home
    down(made, home)
    assert ask(made) == second
    well_again(made, home)
    for _ in range(3):
        made.now += 59
        assert ask(made) == second, "each request of it counts"
    made.now += 60
    assert ask(made) == home


def test_one_that_moved_moves_on_when_it_has_to() -> None:
    made, home, second = moving(ttl=60.0)
    third = ({"p.a", "q.b", "r.c"} - {home, second}).pop()
    down(made, home)
    ask(made)
    down(made, second)
    assert ask(made) == third
    well_again(made, home)
    well_again(made, second)
    assert ask(made) == third
    assert order(made, session="s") == [third, home, second]


def test_one_request_that_its_model_cannot_answer_moves_no_session() -> None:
    made = mesh("p.a", model("q.b", features=NO_FEATURES), strategy=SESSION, session=SessionPolicy(ttl=60.0))
    session = next(each for each in SESSIONS if order(made, session=each)[0] == "q.b")
    assert ask(made, session, RequestNeeds(Operation.CHAT, tools=True)) == "p.a"
    assert ask(made, session) == "q.b"
    assert made.state.pool("chat").moved == {}


def test_of_sessions_that_moved_no_more_are_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MOST_MOVED", 100)
    made, home, _ = moving(ttl=60.0)
    down(made, home)
    for session in SESSIONS[:1000]:
        ask(made, session)
    assert len(made.state.pool("chat").moved) == 100
    well_again(made, home)
    late = next(each for each in reversed(SESSIONS[:1000]) if order(moving(60.0)[0], session=each)[0] == home)
    assert ask(made, late) != home


def test_no_user_pushes_out_the_sessions_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are apps without an entry, of one account, and one has as many sessions and names as it likes."""
    monkeypatch.setattr(sessions, "MOST_MOVED", 100)
    made, home, _ = moving(ttl=60.0)
    down(made, home)
    at_home = [session for session in SESSIONS[:2000] if order(moving(60.0)[0], session=session)[0] == home]
    mine, others = at_home[:5], at_home[5:]

    def asked(session: str, uid: int) -> str:
        question = structs.replace(made.question(), requester=Requester(account="default", session=session, uid=uid))
        decision = made.pipeline.decide(question)
        assert decision.model is not None
        made.pipeline.chosen(question, decision.model)
        return decision.model.id

    stays = {session: asked(session, 1000) for session in mine}
    for session in others:
        asked(session, 2000)
    assert len(made.state.pool("chat").moved) == 100
    well_again(made, home)
    assert {session: asked(session, 1000) for session in mine} == stays
    assert asked(others[0], 2000) == home, "of the other's, the longest unused is forgotten"


def test_a_member_that_is_gone_and_a_clock_that_was_set_back_hold_no_session() -> None:
    made, home, second = moving(ttl=60.0)
    down(made, home)
    ask(made)
    well_again(made, home)
    made.now -= 3600
    assert ask(made) == home
    made.now += 3600
    gone = mesh(
        *(id for id in ("p.a", "q.b", "r.c") if id != second), strategy=SESSION, session=SessionPolicy(ttl=60.0)
    )
    gone.state = made.state
    assert ask(gone) == home


@given(some.text())
def test_any_text_is_a_session(session: str) -> None:
    assert len(order(mesh("p.a", "p.b", strategy=SESSION), session=session)) == 2
