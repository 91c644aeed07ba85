"""A gateway in virtual time: what `meshd/gateway` does with plans and the queue, without sockets, tasks or a clock.

Requests come, wait at limits, back off, are hedged, end in any way; time goes from event to event.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from meshd.core.needs import RequestNeeds
from meshd.routing.attempts.fair_queue import FairQueue, Waiter
from meshd.routing.attempts.local_counters import LocalCounters
from meshd.routing.attempts.plan import GiveUp, RequestPlan
from meshd.routing.attempts.step import AttemptStep
from meshd.routing.attempts.waiting import Wait
from meshd.routing.availability.state import MeshState
from meshd.routing.decision.pipeline import Pipeline
from meshd.routing.request.question import Question, Requester
from meshd.routing.table.specs import AppSpec, RoutingTable
from meshd.sdk.provider import ProviderFailure, Usage
from modelmesh import MeshError
from tests.support.routing.routing_builders import NOW, STRATEGIES


@dataclass(eq=False)
class Request:
    """One under way. steps: its open attempts, with the time at which each starts; waiter: while it waits.
    asked: model → attempts that were sent; error: how it was given up."""

    plan: RequestPlan
    steps: dict[AttemptStep, float] = field(default_factory=dict)
    waiter: Waiter | None = None
    gives_up_at: float = 0.0
    asked: Counter[str] = field(default_factory=Counter)
    failed_at: set[str] = field(default_factory=set)
    hedged: bool = False
    answered: bool = False
    error: MeshError | None = None

    @property
    def over(self) -> bool:
        return not self.steps and self.waiter is None

    def started(self) -> list[AttemptStep]:
        return [step for step in self.steps if step.reservation is not None]


class VirtualGateway:
    """on_step(request, step), on_give_up(request, error): called at each, for tests that judge them."""

    def __init__(self, table: RoutingTable, queue_timeout: float = 30.0) -> None:
        self.table = table
        self.state = MeshState()
        self.state.accounts.configure(table.allowances, table.timezone)
        self.pipeline = Pipeline(self.state, STRATEGIES)
        self.counters = LocalCounters(self.state)
        self.queue = FairQueue()
        self.queue_timeout = queue_timeout
        self.now = NOW
        self.requests: list[Request] = []
        self.wakes_at: float | None = None
        self.sent: list[tuple[float, str]] = []  # (when, provider)

    # -- what is judged by tests ----------------------------------------------------------------------

    def before_step(self, request: Request) -> None: ...

    def on_step(self, request: Request, step: AttemptStep) -> None: ...

    def on_give_up(self, request: Request, error: MeshError) -> None: ...

    # -- requests -------------------------------------------------------------------------------------

    def ask(self, pool: str, needs: RequestNeeds, app: AppSpec, timeout: float = 1000.0) -> Request:
        requester = Requester(app, app.name, app.name, operator=True)
        question = Question(self.table, self.table.pools[pool], needs, self.now, requester)
        plan = RequestPlan(self.pipeline, self.counters, question, self.now + timeout)
        request = Request(plan)
        self.requests.append(request)
        self._advance(request)
        return request

    def succeed(self, request: Request, step: AttemptStep, usage: Usage) -> None:
        request.answered = True
        request.plan.succeeded(self.now, 0.1, step=step, usage=usage)
        self._ended(request, step)
        for loser in list(request.steps):
            request.plan.lost(self.now, 0.1, step=loser, sent=loser.reservation is not None)
            self._ended(request, loser)

    def fail(self, request: Request, step: AttemptStep, failure: ProviderFailure) -> None:
        request.failed_at.add(step.model.id)
        request.plan.failed(failure, self.now, 0.1, step=step)
        self._ended(request, step)
        if not request.steps:
            self._advance(request)

    def run_out(self, request: Request, step: AttemptStep) -> None:
        request.plan.ran_out(self.now, 0.1, step=step)
        self._ended(request, step)
        if not request.steps:
            self._advance(request)

    def go_away(self, request: Request) -> None:
        if request.waiter is not None:
            self.queue.remove(request.waiter)
            request.waiter = None
        for step in list(request.steps):
            request.plan.cancelled(self.now, step=step, sent=step.reservation is not None)
            self._ended(request, step)

    def hedge(self, request: Request) -> AttemptStep | None:
        request.hedged = True
        self.before_step(request)
        step = request.plan.hedge(self.now)
        if step is not None:
            self._send(request, step)
        return step

    def under_way(self) -> list[Request]:
        return [request for request in self.requests if not request.over]

    def waiting(self) -> list[Request]:
        return [request for request in self.requests if request.waiter is not None]

    # -- time -----------------------------------------------------------------------------------------

    def pass_time(self, seconds: float) -> None:
        """Go on, stopping wherever something is due."""
        until = self.now + seconds
        for _ in range(1000):
            due = min((at for at in self._due() if at <= until), default=None)
            if due is None:
                self.now = until
                return
            self.now = max(self.now, due)
            self._happen()
        raise AssertionError("something is due again and again")

    def _due(self) -> Iterator[float]:
        if self.wakes_at is not None:
            yield self.wakes_at
        for request in self.requests:
            if request.waiter is not None:
                yield request.gives_up_at
            yield from (at for step, at in request.steps.items() if step.reservation is None)

    def _happen(self) -> None:
        if self.wakes_at is not None and self.wakes_at <= self.now:
            self.wakes_at = None
            self.queue.serve()
        for request in self.under_way():
            if request.waiter is not None and request.gives_up_at <= self.now:
                self.queue.remove(request.waiter)
                request.waiter = None
                self._advance(request, may_wait=False)
            for step, at in list(request.steps.items()):
                if step.reservation is None and at <= self.now and step in request.steps:
                    self._start(request, step)

    def _start(self, request: Request, step: AttemptStep) -> None:
        if request.plan.start(step, self.now):
            self._left(request, step)
            return
        del request.steps[step]
        if not request.steps:
            self._advance(request)

    # -- inside ---------------------------------------------------------------------------------------

    def _advance(self, request: Request, *, may_wait: bool = True) -> None:
        """Behind its own app's requests that wait for the same, when it has just come."""
        plan = request.plan
        if len(self.queue):
            self.queue.serve()
        behind = not plan.attempts and may_wait and self.queue.waits(plan.requester.label, plan.line(self.now))
        if (behind or not self._take(request, plan)) and may_wait:
            self._wait(request)

    def _take(self, request: Request, plan: RequestPlan) -> bool:
        """Whether the request got on, one way or the other."""
        self.before_step(request)
        step = plan.next(self.now)
        if isinstance(step, Wait):
            self._wake_at(step.until)
            return False
        request.waiter = None
        if isinstance(step, GiveUp):
            request.error = step.error
            self.on_give_up(request, step.error)
        else:
            self._send(request, step)
        return True

    def _wait(self, request: Request) -> None:
        plan, app = request.plan, request.plan.requester.app
        request.waiter = Waiter(
            plan.requester.label, plan.line(self.now), lambda: self._take(request, plan), app.weight, app.priority
        )  # fmt: skip
        request.gives_up_at = min(self.now + self.queue_timeout, plan.deadline)
        self.queue.add(request.waiter)

    def _wake_at(self, until: float | None) -> None:
        if until is not None:
            until = max(until, self.now + 0.001)
            self.wakes_at = until if self.wakes_at is None else min(self.wakes_at, until)

    def _send(self, request: Request, step: AttemptStep) -> None:
        request.steps[step] = self.now + step.wait
        self.on_step(request, step)
        if step.reservation is not None:
            self._left(request, step)

    def _left(self, request: Request, step: AttemptStep) -> None:
        request.asked[step.model.id] += 1
        self.sent.append((self.now, step.model.provider))

    def _ended(self, request: Request, step: AttemptStep) -> None:
        del request.steps[step]
        self.queue.serve()

    # -- how it stands --------------------------------------------------------------------------------

    def questions(self, plan: RequestPlan) -> Iterable[Question]:
        return [Question(self.table, pool, plan.needs, self.now, plan.requester) for pool in plan.pools]

    def free_for(self, plan: RequestPlan) -> set[str]:
        """Models that pass every stage for it now, whatever it has tried."""
        return {id for question in self.questions(plan) for id in self.pipeline.explain(question).order}

    def crowded_for(self, plan: RequestPlan) -> set[str]:
        """Models that would be free for it but for a limit."""
        return {
            drop.model
            for question in self.questions(plan)
            for report in self.pipeline.explain(question).stages
            if report.name == "limits"
            for drop in report.dropped
        }
