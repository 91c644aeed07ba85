"""The strategy that keeps a session at one model."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec import structs

from meshd.core.needs import RequestNeeds
from meshd.operations.chat import CHAT
from meshd.routing.availability import recovery
from meshd.routing.decision.strategies import sessions
from meshd.routing.request.question import Requester
from meshd.routing.table.policies import SessionPolicy
from meshd.routing.table.specs import ModelSpec
from tests.support.routing.causes import BACK
from tests.support.routing.routing_builders import CHAT_NEEDS, NO_FEATURES, STICK, Mesh, mesh, model
from tests.support.routing.strategy_builders import asked, down, order, take

SESSION = "modelmesh.session-stickiness.v1"
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
        assert order(after, session=session) == kept, "the next model in the session's own order has it now"


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


def test_a_session_moves_no_other() -> None:
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
    """The model that a request of the session is sent to."""
    question = asked(made, needs, session=session)
    decision = made.pipeline.decide(question)
    assert decision.model is not None
    made.pipeline.chosen(question, decision.model)
    return decision.model.id


def well_again(made: Mesh, id: str) -> None:
    recovery.reset(made.member(id), made.now, BACK)


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
    assert ask(made, session, RequestNeeds(CHAT, tools=True)) == "p.a"
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
