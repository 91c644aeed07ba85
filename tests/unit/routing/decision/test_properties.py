"""What holds whatever happens: many requests at once, failing in every way, as time goes by.

A machine plays the gateway: it starts requests, ends their attempts with any outcome in any order, and lets time
pass, while the invariants that docs/routing.md promises are checked at every step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from meshd.core.needs import RequestNeeds
from meshd.operations.chat import CHAT
from meshd.routing.attempts.plan import AttemptStep, GiveUp, RequestPlan, Wait
from meshd.routing.availability import probes, recovery
from meshd.routing.availability.state import Availability, availabilities
from meshd.routing.decision.stages.state import StateStage
from meshd.routing.table.policies import DeactivationPolicy, RecoveryPolicy, RetryPolicy
from meshd.routing.table.specs import ModelSpec
from meshd.sdk.provider import FailureKind
from modelmesh import MeshError
from tests.support.routing.causes import BACK
from tests.support.routing.routing_builders import NO_FEATURES, PRIORITY, ROUND_ROBIN, STICK, Mesh, failure, mesh, model

IDS = ("p.a", "p.b", "q.c", "q.d", "r.e")
NEEDS = (
    RequestNeeds(CHAT),
    RequestNeeds(CHAT, tools=True),
    RequestNeeds(CHAT, stream=True),
)
PAUSES = some.sampled_from([0.0, 0.1, 1.0, 30.0, 60.0, 61.0, 1000.0])
RETRY_AFTER = some.sampled_from([None, None, 0.0, 1.0, 90.0])
SPECS = (
    model("p.a", features=NO_FEATURES, weight=3),
    model("p.b", streaming=False),
    model("q.c"),
    model("q.d", weight=0),
    model("r.e", features={}),
)


@dataclass
class Request:
    """A request under way. failed_at: the models whose attempts failed in it; asked: attempts a model."""

    plan: RequestPlan
    asked: dict[str, int] = field(default_factory=dict)
    failed_at: set[str] = field(default_factory=set)
    tests: list[Availability] = field(default_factory=list)
    due: float = 0.0


class Traffic(RuleBasedStateMachine):
    made: Mesh

    @initialize(
        members=some.lists(some.sampled_from(SPECS), min_size=1, max_size=5, unique_by=lambda spec: spec.id),
        strategy=some.sampled_from([STICK, PRIORITY, ROUND_ROBIN]),
        attempts=some.integers(1, 3),
        scope=some.sampled_from(["any", "any", "same_provider", "same_model"]),
        limit=some.integers(1, 3),
        cooldown=some.sampled_from([0.0, 5.0, 60.0]),
    )
    def begin(
        self, members: list[ModelSpec], strategy: str, attempts: int, scope: Any, limit: int, cooldown: float
    ) -> None:
        self.made = mesh(
            *members,
            strategy=strategy,
            retry=RetryPolicy(max_attempts=attempts, scope=scope),
            deactivation=DeactivationPolicy(limit),
            recovery=RecoveryPolicy(cooldown, 900.0),
        )
        self.under_way: list[Request] = []

    # -- what can happen ------------------------------------------------------------------------------

    @rule(needs=some.sampled_from(NEEDS), timeout=some.sampled_from([5.0, 100.0, 10**6]))
    def a_request_comes(self, needs: RequestNeeds, timeout: float) -> None:
        self._advance(Request(self.made.plan(needs, timeout, 0.5)))

    @rule(pause=PAUSES)
    def time_goes_by(self, pause: float) -> None:
        self.made.now += pause

    @precondition(lambda self: self.under_way)
    @rule(which=some.integers(0), pause=PAUSES)
    def an_attempt_succeeds(self, which: int, pause: float) -> None:
        request = self._take(which, pause)
        request.plan.succeeded(self.made.now, pause)

    @precondition(lambda self: self.under_way)
    @rule(which=some.integers(0), pause=PAUSES, kind=some.sampled_from(FailureKind), after=RETRY_AFTER)
    def an_attempt_fails(self, which: int, pause: float, kind: FailureKind, after: float | None) -> None:
        request = self._take(which, pause)
        request.failed_at.add(self._asked_last(request))
        named = ("tool_calling",) if kind is FailureKind.UNSUPPORTED else ()
        request.plan.failed(failure(kind, retry_after=after, refused=named), self.made.now, pause)
        self._advance(request)

    @precondition(lambda self: self.under_way)
    @rule(which=some.integers(0))
    def an_app_goes_away(self, which: int) -> None:
        self._take(which, 0.0).plan.cancelled(self.made.now)

    @rule(provider=some.sampled_from("pqr"), well=some.booleans())
    def a_probe_reports(self, provider: str, well: bool) -> None:
        probes.record_health(self.made.state, provider, well, "no answer", self.made.now)

    @rule(id=some.sampled_from(IDS), reason=some.sampled_from([None, "by hand"]))
    def an_operator_decides(self, id: str, reason: str | None) -> None:
        known = self.made.state.model(id)
        known.deactivated = reason
        if reason is None:
            recovery.reset(known.availability, self.made.now, BACK)

    # -- and what must hold ---------------------------------------------------------------------------

    def _advance(self, request: Request) -> None:
        plan, made = request.plan, self.made
        question = plan.question(made.now)
        explained = made.pipeline.explain(question)
        up = set(explained.order)
        down = {id for id in made.pool.members if StateStage(made.state).objection(made.table.models[id], question)}
        tested = {id: self._tests(plan, id) for id in made.pool.members}
        step = plan.next(made.now)
        if isinstance(step, GiveUp):
            assert isinstance(step.error, MeshError)
            self._justified(request, up)
            return
        if isinstance(step, Wait):  # who asked to be left alone is waited for; this request has had enough
            assert step.until is not None or step.resting
            assert step.until is None or step.until > made.now
            self._justified(request, up)
            return
        self._allowed(request, step, down, tested, up)
        request.asked[step.model.id] = request.asked.get(step.model.id, 0) + 1
        request.due = made.now + step.wait
        assert step.wait >= 0.0
        assert request.due <= plan.deadline
        assert request.asked[step.model.id] == 1 or made.pool.retry.max_attempts > 1
        self.under_way.append(request)

    def _allowed(
        self, request: Request, step: AttemptStep, down: set[str], tested: dict[str, bool], up: set[str]
    ) -> None:
        """A model on standby is asked when no other is left, by one request at a time."""
        id = step.model.id
        assert self.made.state.model(id).deactivated is None
        if id in down:
            left = up - set(request.failed_at)
            assert id in request.failed_at or not {each for each in left if self._in_scope(request, each)}
            assert not tested[id], "another request tests it"
        holders = [other for other in self.under_way if other is not request and other.tests]
        request.tests = self._on_probation(id, self.made.now + step.wait)
        for held in request.tests:
            others = [other for other in holders if held in other.tests]
            assert all(held.tester is not other.plan.book for other in others), "two requests test at once"

    def _in_scope(self, request: Request, id: str) -> bool:
        scope = request.plan.scope()
        return scope is None or scope(self.made.table.models[id])

    def _justified(self, request: Request, up: set[str]) -> None:
        """No request is refused while some model passes every stage and was not tried."""
        plan = request.plan
        if plan.fatal or self.made.now >= plan.deadline:
            return
        scope = self.made.pool.retry.scope
        first = plan.first
        for id in up - set(request.asked):
            assert first is not None, f"{id} is healthy and was not asked"
            assert scope == "same_model" or (
                scope == "same_provider" and self.made.table.models[id].provider != first.provider
            ), f"{id} is healthy and was not asked"

    @invariant()
    def what_is_in_flight_is_under_way(self) -> None:
        if not hasattr(self, "made"):
            return
        state = self.made.state
        models = [self._asked_last(request) for request in self.under_way]
        for name in self.made.pool.members:
            assert state.model(name).in_flight == models.count(name)
        for provider in "pqr":
            assert state.provider(provider).in_flight == sum(name.startswith(provider) for name in models)
        books = {id(request.plan.book) for request in self.under_way}
        assert all(id(held.tester) in books for held in self.made.testers())
        for request in self.under_way:  # what has recovered needs no test any more
            request.tests = [held for held in request.tests if held.standby]

    def teardown(self) -> None:
        if not hasattr(self, "made"):
            return
        while self.under_way:
            self._take(0, 0.0).plan.cancelled(self.made.now)
        assert set(self.made.in_flight()) <= {0}
        assert self.made.testers() == []

    # -- inside ---------------------------------------------------------------------------------------

    def _take(self, which: int, pause: float) -> Request:
        request = self.under_way.pop(which % len(self.under_way))
        self.made.now = max(self.made.now, request.due) + pause
        request.tests = []
        return request

    @staticmethod
    def _asked_last(request: Request) -> str:
        assert request.plan.last is not None
        return request.plan.last.id

    def _tests(self, plan: RequestPlan, id: str) -> bool:
        """Whether another one does, that has not taken too long over it."""
        now = self.made.now
        return any(recovery.tested_by_another(found, plan.book, now) for found in self._on_probation(id, now))

    def _on_probation(self, id: str, at: float) -> list[Availability]:
        spec = self.made.table.models[id]
        found = availabilities(self.made.state, self.made.pool.name, id, spec.provider)
        return [each for each in found if each.standby]


Traffic.TestCase.settings = settings(
    max_examples=120, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestTraffic = pytest.mark.timeout(120)(Traffic.TestCase)
