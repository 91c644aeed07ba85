"""What a decision chose is taken at once, or decided again."""

from __future__ import annotations

from dataclasses import dataclass, field

from meshd.routing.attempts.counters import Counters, Taken
from meshd.routing.attempts.local_counters import LocalCounters
from meshd.routing.attempts.plan import RequestPlan
from meshd.routing.attempts.waiting import Wait
from meshd.routing.request.question import Question
from meshd.routing.table.specs import ModelSpec
from meshd.sdk.provider import RateLimits, Usage
from tests.support.routing.account_builders import DOLLAR, budget
from tests.support.routing.routing_builders import NOW, SERVER, Mesh, mesh, tried


@dataclass
class Contended:
    """As if other processes had just taken the room at these models."""

    made: Mesh
    full: set[str]
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.local = LocalCounters(self.made.state)

    def take(self, question: Question, model: ModelSpec) -> Taken | None:
        self.asked.append(model.id)
        return None if model.id in self.full else self.local.take(question, model)

    def settle(
        self, taken: Taken, now: float, tokens: int, cost: int, limits: RateLimits | None, *, sent: bool, left: bool
    ) -> None:
        self.local.settle(taken, now, tokens, cost, limits, sent=sent, left=left)


def plan(made: Mesh, counters: Counters) -> RequestPlan:
    return RequestPlan(made.pipeline, made.question(), NOW + 1000.0, counters=counters)


def test_a_refused_step_is_decided_again_without_that_model() -> None:
    made = mesh("p.a", "p.b", "p.c")
    counters = Contended(made, {"p.a", "p.b"})
    request = plan(made, counters)
    assert tried(request.next(NOW)).model.id == "p.c"
    assert counters.asked == ["p.a", "p.b", "p.c"]
    assert [attempt.number for attempt in request.book.open.values()] == [1], "a refusal is not an attempt"


def test_a_refusal_leaves_nothing_taken_anywhere() -> None:
    made = mesh("p.a")
    made.state.accounts.configure({("pool", "chat"): (budget(DOLLAR, "pool", "chat"),)}, "UTC")
    request = plan(made, Contended(made, {"p.a"}))
    request.next(NOW)
    assert not request.book.open
    assert not any(made.in_flight())
    assert made.testers() == []
    assert [row["reserved"] for row in made.state.accounts.standing(NOW)] == [0]


def test_a_request_whose_models_are_all_taken_decides_again_a_moment_later() -> None:
    made = mesh("p.a", "p.b")
    counters = Contended(made, {"p.a", "p.b"})
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
    counters = Contended(made, set())
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
    request = plan(made, Contended(made, {"p.b"}))
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
