"""What holds whatever happens, with everything at once: budgets, limits, keys, hedges, fallback pools, maintenance,
and requests that wait.

A machine plays the gateway in virtual time (`virtual_gateway.py`) and checks what docs/routing.md promises at every
step: no request is refused or waits while a model is free for it, and what was taken is given back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from meshd.core.needs import RequestNeeds
from meshd.core.prices import Pricing
from meshd.operations import chat
from meshd.routing.attempts.last_resort import AT_LAST
from meshd.routing.attempts.plan import AttemptStep
from meshd.routing.availability import interventions, recovery
from meshd.routing.availability.state import availabilities
from meshd.routing.table.policies import DeactivationPolicy, PacingPolicy, RecoveryPolicy, RetryPolicy
from meshd.routing.table.specs import Allowance, AppSpec, KeySpec, ModelSpec, PoolSpec, ProviderSpec, RateSpec
from meshd.sdk.provider import FailureKind, Usage
from modelmesh import BudgetExceededError, MeshError
from tests.support.routing.routing_builders import (
    CHAT,
    NO_FEATURES,
    PRIORITY,
    ROUND_ROBIN,
    STICK,
    failure,
    model,
    table,
)
from tests.support.routing.virtual_gateway import Request, VirtualGateway

PRICE = 1_000
MODELS = {
    spec.id: spec
    for spec in (
        model("p.a", features=NO_FEATURES, pricing=Pricing(per_request=PRICE)),
        model("p.b", streaming=False, pricing=Pricing(per_request=PRICE)),
        model("q.c", pricing=Pricing(per_request=2 * PRICE)),
        model("k.d", pricing=Pricing(per_request=PRICE)),
        model("k.e"),
    )
}
KEYS = (KeySpec("one"), KeySpec("two", 2.0))
APPS = (AppSpec("many", weight=1.0), AppSpec("few", weight=3.0, priority=1))
NEEDS = (
    RequestNeeds(chat.CHAT),
    RequestNeeds(chat.CHAT, tools=True),
    RequestNeeds(chat.CHAT, stream=True),
)
ENDS = some.sampled_from(
    [FailureKind.RATE_LIMIT] * 4
    + [FailureKind.SERVER] * 3
    + [kind for kind in FailureKind if kind is not FailureKind.CANCELLED]
)
PAUSES = some.sampled_from([0.1, 1.0, 10.0, 10.0, 29.0, 61.0, 900.0])
MAYBE = some.sampled_from([None, 1, 1, 2])


class Judge(VirtualGateway):
    """Looks at every step of every request."""

    def before_step(self, request: Request) -> None:
        self.scope = request.plan.scope()  # a step may lead to another pool, with another scope
        self.free = self.free_for(request.plan)
        self.tested = {id: self._is_tested(request, id) for id in MODELS}
        self.down = {id for id in MODELS if self._is_down(request, id)}

    def on_step(self, request: Request, step: AttemptStep) -> None:
        id, plan = step.model.id, request.plan
        assert step.wait >= 0.0
        assert self.now + step.wait <= plan.deadline
        assert self.state.model(id).deactivated is None
        if id in self.down:  # no other is left
            left = self.still_to_ask(request, self.free, self.scope) - request.failed_at - {id}
            assert id in request.failed_at or not left, f"{id} is on standby, and {left} could be asked"
            assert not self.tested[id], "another request tests it"
        elif id not in self.free:  # a back-off, or room that is to be there when it is over
            assert id in request.failed_at, f"{id} has an objection"

    def on_give_up(self, request: Request, error: MeshError) -> None:
        plan = request.plan
        assert isinstance(error, MeshError)
        if isinstance(error, BudgetExceededError) and plan.pools[0].on_budget_exceeded == "error":
            return
        if plan.fatal or plan.late or self.now >= plan.deadline:
            return
        assert not self.still_to_ask(request, self.free, self.scope), f"{self.free} could be asked: {error}"

    def still_to_ask(self, request: Request, models: set[str], scope: Callable[[ModelSpec], bool] | None) -> set[str]:
        """Of these the ones that the request may still ask, within that scope."""
        plan = request.plan
        resting = {id for id, ready in plan.not_before.items() if ready > self.now}
        return {id for id in models - plan.given_up - resting if scope is None or scope(self.table.models[id])}

    def _is_down(self, request: Request, id: str) -> bool:
        """In every pool that it could be asked in: on standby, or told to be left alone for so long, or without a key
        that is not refused, that it is asked where no other can answer."""
        questions = [question for question in self.questions(request.plan) if id in question.pool.positions]
        model = self.table.models[id]
        return bool(questions) and all(
            self.state.model(id).deactivated is not None
            or any(
                recovery.objection(each, self.now, operator=True)
                for each in availabilities(self.state, question.pool.name, id, model.provider)
            )
            or self.state.rates.rests(question, model)
            for question in questions
        )

    def _is_tested(self, request: Request, id: str) -> bool:
        return (
            any(
                recovery.tested_by_another(each, request.plan.book, self.now)
                for pool in request.plan.pools
                for each in availabilities(self.state, pool.name, id, self.table.models[id].provider)
                if each.standby and each.until <= self.now
            )
            and self.now < request.plan.deadline - AT_LAST
        )  # the last moment, in which it tests beside another


class Crowds(RuleBasedStateMachine):
    gateway: Judge

    @initialize(
        members=some.lists(some.sampled_from(sorted(MODELS)), min_size=1, max_size=4, unique=True),
        spare=some.lists(some.sampled_from(sorted(MODELS)), max_size=2, unique=True),
        at_once=some.tuples(MAYBE, MAYBE, MAYBE),
        rpm=some.sampled_from([None, 2, 5]),
        budget=some.sampled_from([None, None, None, 0, 6]),
        requests=some.sampled_from([None, None, 4]),
        keys=some.sampled_from([(), KEYS, KEYS]),
        pool=some.fixed_dictionaries(
            {
                "strategy": some.sampled_from([STICK, PRIORITY, ROUND_ROBIN]),
                "on_budget_exceeded": some.sampled_from(["rotate", "rotate", "error"]),
                "pacing": some.sampled_from([PacingPolicy(), PacingPolicy(), PacingPolicy(min_delta=5.0)]),
                "retry": some.builds(
                    RetryPolicy,
                    max_attempts=some.integers(1, 3),
                    scope=some.sampled_from(["any", "any", "same_provider", "same_model"]),
                ),
                "deactivation": some.builds(
                    DeactivationPolicy,
                    retry_limit=some.integers(1, 3),
                    maintenance_window=some.sampled_from([None, None, "@hourly 10m"]),
                ),
                "recovery": some.builds(RecoveryPolicy, cooldown=some.sampled_from([0.0, 5.0, 60.0])),
            }
        ),
    )
    def begin(
        self,
        members: list[str],
        spare: list[str],
        at_once: tuple[int | None, ...],
        rpm: int | None,
        budget: int | None,
        requests: int | None,
        keys: tuple[KeySpec, ...],
        pool: dict[str, Any],
    ) -> None:
        pools = [PoolSpec("chat", CHAT, tuple(members), fallback_pools=("spare",) if spare else (), **pool)]
        if spare:
            pools.append(PoolSpec("spare", "", tuple(spare)))
        p, q, k = (
            RateSpec(rpm if name == "q" else None, None, most) for name, most in zip("pqk", at_once, strict=True)
        )
        made = table(
            MODELS.values(),
            pools,
            providers=[
                ProviderSpec("p", "x", rate=p),
                ProviderSpec("q", "x", rate=q),
                ProviderSpec("k", "x", rate=k, keys=keys),
            ],
        )
        allowances = []
        if budget is not None:
            allowances.append(Allowance("pool", "chat", "cost", "day", budget * PRICE))
        if requests is not None:
            allowances.append(Allowance("provider", "p", "requests", "rolling", requests, "quota"))
        made.allowances = {(each.scope, each.name): (each,) for each in allowances}
        self.limits = {"p": at_once[0], "q": at_once[1], "k": at_once[2]}
        self.rpm, self.keys = rpm, len(keys)
        self.gateway = Judge(made)

    # -- what can happen ------------------------------------------------------------------------------

    @rule(
        needs=some.sampled_from(NEEDS),
        app=some.sampled_from(APPS),
        timeout=some.sampled_from([5.0, 10**5, 10**5]),
        spare=some.sampled_from([False, False, True]),
        several=some.integers(1, 3),
    )
    def requests_come(self, needs: RequestNeeds, app: AppSpec, timeout: float, spare: bool, several: int) -> None:
        pool = "spare" if spare and "spare" in self.gateway.table.pools else "chat"
        for _ in range(several):
            self.gateway.ask(pool, needs, app, timeout)

    @rule(pause=PAUSES)
    def time_goes_by(self, pause: float) -> None:
        self.gateway.pass_time(pause)

    def _attempts(self) -> list[tuple[Request, AttemptStep]]:
        return [(request, step) for request in self.gateway.under_way() for step in request.started()]

    @precondition(lambda self: self._attempts())
    @rule(which=some.integers(0))
    def an_attempt_succeeds(self, which: int) -> None:
        attempts = self._attempts()
        self.gateway.succeed(*attempts[which % len(attempts)], Usage(10, 5))

    @precondition(lambda self: self._attempts())
    @rule(
        which=some.integers(0), kind=ENDS, after=some.sampled_from([None, None, 0.0, 1.0, 90.0]), unsent=some.booleans()
    )
    def an_attempt_fails(self, which: int, kind: FailureKind, after: float | None, unsent: bool) -> None:
        attempts = self._attempts()
        unsent = unsent and kind is FailureKind.CONNECTION
        self.gateway.fail(*attempts[which % len(attempts)], failure(kind, retry_after=after, unsent=unsent))

    @precondition(lambda self: self._attempts())
    @rule(which=some.integers(0))
    def an_attempt_is_hedged(self, which: int) -> None:
        attempts = self._attempts()
        request, step = attempts[which % len(attempts)]
        if not request.hedged and len(request.steps) == 1:
            free = self.gateway.free_for(request.plan)
            another = self.gateway.hedge(request)
            assert another is None or (another.model.id in free and another.model is not step.model)

    @precondition(lambda self: self.gateway.under_way())
    @rule(which=some.integers(0))
    def an_app_goes_away(self, which: int) -> None:
        requests = self.gateway.under_way()
        self.gateway.go_away(requests[which % len(requests)])

    @rule(id=some.sampled_from(sorted(MODELS)), reason=some.sampled_from([None, "by hand"]))
    def an_operator_decides(self, id: str, reason: str | None) -> None:
        gateway = self.gateway
        if reason is None:
            interventions.activate(gateway.state, gateway.table, id, gateway.now)
            gateway.queue.serve()
        else:
            gateway.state.model(id).deactivated = reason

    # -- and what must hold ---------------------------------------------------------------------------

    @invariant()
    def no_request_waits_while_a_model_is_free_for_it(self) -> None:
        if not hasattr(self, "gateway"):
            return
        gateway = self.gateway
        for request in gateway.waiting():
            plan, scope = request.plan, request.plan.scope()
            free = gateway.still_to_ask(request, gateway.free_for(plan), scope)
            if gateway.still_to_ask(request, gateway.crowded_for(plan), scope):  # it comes before a second attempt
                free -= plan.spent
            assert not free, f"{free} is free, and a request waits"

    @invariant()
    def who_waits_is_woken(self) -> None:
        """By a time, or by the end of what is under way."""
        if not hasattr(self, "gateway"):
            return
        gateway = self.gateway
        for request in gateway.waiting():
            assert gateway.wakes_at is not None or any(each.steps for each in gateway.requests)
            assert gateway.now <= request.gives_up_at

    @invariant()
    def what_is_taken_is_under_way(self) -> None:
        if not hasattr(self, "gateway"):
            return
        state, rates = self.gateway.state, self.gateway.state.rates
        steps = [step for request in self.gateway.requests for step in request.steps]
        started = [step.model for step in steps if step.reservation is not None]
        assert len(state.accounts.open) == len(started)
        for id in MODELS:
            assert state.model(id).in_flight == sum(step.model.id == id for step in steps)
        for name, most in self.limits.items():
            at_once = sum(spec.provider == name for spec in started)
            assert state.provider(name).in_flight == sum(step.model.provider == name for step in steps)
            assert at_once == (rates.providers[name].in_flight if name in rates.providers else 0)
            assert most is None or at_once <= most
        for row in state.accounts.standing(self.gateway.now):
            assert row["spent"] + row["reserved"] <= row["limit"]
        books = [request.plan.book for request in self.gateway.under_way()]
        for known in (*state.models.values(), *state.members.values(), *state.providers.values()):
            tester = known.availability.tester
            assert tester is None or tester in books

    @invariant()
    def no_model_is_asked_too_often(self) -> None:
        if not hasattr(self, "gateway"):
            return
        now = self.gateway.now
        for request in self.gateway.requests:
            for id, times in request.asked.items():
                further = max(self.keys - 1, 0) if id.startswith("k.") else 0
                most = max(pool.retry.max_attempts for pool in request.plan.pools)
                assert times <= most + further or most > 1, f"{id} was asked {times} times"
        if self.rpm is not None:
            assert sum(at > now - 60.0 and provider == "q" for at, provider in self.gateway.sent) <= self.rpm

    def teardown(self) -> None:
        if not hasattr(self, "gateway"):
            return
        gateway = self.gateway
        for request in gateway.under_way():
            gateway.go_away(request)
        self.what_is_taken_is_under_way()
        assert not gateway.under_way()
        assert len(gateway.queue) == 0


Crowds.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestCrowds = pytest.mark.timeout(120)(Crowds.TestCase)


def test_a_request_waits_within_its_own_scope_though_another_finds_a_free_model() -> None:
    crowds = Crowds()
    scope = {"retry": RetryPolicy(scope="same_model"), "deactivation": DeactivationPolicy(retry_limit=1)}
    pool = {"strategy": STICK, "recovery": RecoveryPolicy(cooldown=0.0), **scope}
    crowds.begin(["k.d", "k.e"], [], (None, None, None), None, None, None, (), pool)
    crowds.requests_come(NEEDS[0], APPS[0], timeout=5.0, spare=False, several=1)
    crowds.an_attempt_fails(which=0, kind=FailureKind.RATE_LIMIT, after=90.0, unsent=False)
    crowds.requests_come(NEEDS[0], APPS[0], timeout=5.0, spare=False, several=1)
    first, second = crowds.gateway.requests
    assert (first.waiter is not None, [step.model.id for step in second.steps]) == (True, ["k.e"])
    crowds.no_request_waits_while_a_model_is_free_for_it()
    crowds.teardown()
