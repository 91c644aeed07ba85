"""What a decision chose is taken at once, or decided again."""

from __future__ import annotations

from meshd.routing.attempts.counters import Counters
from meshd.routing.attempts.local_counters import LocalCounters
from meshd.routing.attempts.plan import RequestPlan
from meshd.routing.attempts.waiting import Wait
from meshd.routing.budgets.records import Use
from meshd.routing.rates.headroom import NoRoom
from meshd.routing.rates.places import Place
from meshd.routing.table.specs import NO_RATES, ProviderSpec, RateSpec
from meshd.sdk.provider import Usage
from tests.support.routing.account_builders import DOLLAR, budget
from tests.support.routing.routing_builders import NOW, SERVER, Mesh, mesh, tried
from tests.support.routing.watched_counters import WatchedCounters


def plan(made: Mesh, counters: Counters) -> RequestPlan:
    return RequestPlan(made.pipeline, counters, made.question(), NOW + 1000.0)


def test_a_refused_step_is_decided_again_without_that_model() -> None:
    made = mesh("p.a", "p.b", "p.c")
    counters = WatchedCounters(made.state, {"p.a", "p.b"})
    request = plan(made, counters)
    assert tried(request.next(NOW)).model.id == "p.c"
    assert counters.taken == ["p.a", "p.b", "p.c"]
    assert [attempt.number for attempt in request.book.open.values()] == [1], "a refusal is not an attempt"


def test_a_refusal_leaves_nothing_taken_anywhere() -> None:
    made = mesh("p.a")
    made.state.accounts.configure({("pool", "chat"): (budget(DOLLAR, "pool", "chat"),)}, "UTC")
    request = plan(made, WatchedCounters(made.state, {"p.a"}))
    request.next(NOW)
    assert not request.book.open
    assert not any(made.in_flight())
    assert made.testers() == []
    assert [row["reserved"] for row in made.state.accounts.standing(NOW)] == [0]


def test_a_request_whose_models_are_all_taken_decides_again_a_moment_later() -> None:
    made = mesh("p.a", "p.b")
    counters = WatchedCounters(made.state, {"p.a", "p.b"})
    request = plan(made, counters)
    wait = request.next(NOW)
    assert isinstance(wait, Wait)
    assert wait.until is not None
    assert NOW < wait.until < NOW + 1
    assert set(wait.reasons) == {"p.a", "p.b"}
    counters.full.clear()
    assert tried(request.next(wait.until)).model.id == "p.a"


def test_an_attempt_that_waited_is_taken_when_it_leaves_and_decided_again_if_refused() -> None:
    made = mesh("p.a", "p.b")
    counters = WatchedCounters(made.state, set())
    request = plan(made, counters)
    step = tried(request.next(NOW))
    request.failed(SERVER, NOW, 0.1, step=step)
    again = tried(request.next(NOW))
    assert (again.model.id, again.taken) == ("p.a", None)
    assert again.wait > 0
    counters.full = {"p.a"}
    assert not request.start(again, NOW + again.wait)
    assert not request.book.open
    other = tried(request.next(NOW + again.wait))
    assert other.model.id == "p.b"
    assert request.start(other, NOW), "it is taken already"


def test_a_hedge_that_is_refused_is_not_made() -> None:
    made = mesh("p.a", "p.b")
    request = plan(made, WatchedCounters(made.state, {"p.b"}))
    tried(request.next(NOW))
    assert request.hedge(NOW) is None
    assert request.hedges == 0
    assert len(request.book.open) == 1


def test_of_one_process_all_scopes_are_taken_together_and_settled_together() -> None:
    made = mesh("p.a")
    request = made.plan()
    step = tried(request.next(NOW))
    assert step.taken is not None
    assert (step.taken.reservation, step.taken.ticket) == (step.reservation, step.ticket)
    request.succeeded(NOW, 0.1, usage=Usage(10, 5))
    assert step.taken.reservation.settled
    assert step.taken.ticket.left


def test_a_line_is_reserved_if_it_fits_and_owed_if_it_was_carried_out() -> None:
    made = mesh("p.a")
    made.state.accounts.configure({("pool", "chat"): (budget(1, "pool", "chat", measure="requests"),)}, "UTC")
    counters, question, model = LocalCounters(made.state), made.question(), made.table.models["p.a"]
    first = counters.reserve(question, model)
    assert first is not None
    assert counters.reserve(question, model) is None
    counters.settle_line(first, 0, 0, sent=False)
    second = counters.reserve(question, model)
    assert second is not None
    for each in (second, counters.owe(question, model)):
        counters.settle_line(each, 10, 3)
    assert made.state.accounts.used("pool", "chat") == Use(2, 20, 6)
    assert not made.state.rates.providers


def test_a_request_that_is_passed_on_has_its_place_until_it_leaves() -> None:
    made = mesh("p.a")
    counters, provider = LocalCounters(made.state), ProviderSpec("p", "c", rate=RateSpec(concurrency=1))
    place = counters.enter("app", NO_RATES, provider, NOW)
    assert isinstance(place, Place)
    assert isinstance(counters.enter("app", NO_RATES, provider, NOW), NoRoom)
    counters.leave(place, 9)
    assert isinstance(counters.enter("app", NO_RATES, provider, NOW), Place)
