"""Limits and keys are those of now, also for a request that began before they changed."""

from __future__ import annotations

from dataclasses import replace

from meshd.routing.attempts.waiting import Wait
from meshd.routing.request.question import Question, Requester
from meshd.routing.table.policies import PacingPolicy
from meshd.routing.table.specs import AppSpec, KeySpec, PoolSpec, ProviderSpec, RateSpec, RoutingTable
from tests.support.routing.routing_builders import mesh, tried


def configured(provider: ProviderSpec, pool: PoolSpec, app: AppSpec, before: RoutingTable) -> RoutingTable:
    return RoutingTable(before.tree, before.models.values(), [provider], [pool], [app])


def test_a_request_that_waits_continues_when_its_limit_is_raised() -> None:
    before = ProviderSpec("p", "x", rate=RateSpec(concurrency=1))
    made = mesh("p.a", providers=[before])
    tried(made.plan().next(made.now))
    plan = made.plan()
    assert isinstance(plan.next(made.now), Wait)
    after = configured(replace(before, rate=RateSpec(concurrency=2)), made.pool, AppSpec("a"), made.table)
    made.state.rates.configure(after)
    tried(plan.next(made.now))


def test_what_the_app_and_the_pool_may_is_as_it_is_now() -> None:
    provider, pacing = ProviderSpec("p", "x"), PacingPolicy(min_delta=60.0)
    made = mesh("p.a", providers=[provider], pacing=pacing)
    limited = AppSpec("a", rate=RateSpec(concurrency=1))
    question = Question(
        made.table, made.pool, made.question().needs, made.now, Requester(limited, "a", "a")
    )  # fmt: skip
    model = made.table.models["p.a"]
    rates = made.state.rates
    rates.configure(configured(provider, made.pool, limited, made.table))
    rates.enter(question, model, question.estimate(model))
    assert rates.no_room(question, model) is not None
    rates.configure(configured(provider, made.pool, AppSpec("a"), made.table))
    assert rates.no_room(question, model) is not None  # the pool's
    rates.configure(configured(provider, replace(made.pool, pacing=PacingPolicy()), AppSpec("a"), made.table))
    assert rates.no_room(question, model) is None


def test_a_removed_key_is_not_used_by_earlier_requests() -> None:
    before = ProviderSpec("p", "x", keys=(KeySpec("old"), KeySpec("older")))
    made = mesh("p.a", providers=[before])
    plan = made.plan()
    after = configured(replace(before, keys=(KeySpec("new"), KeySpec("newer"))), made.pool, AppSpec("a"), made.table)
    made.state.rates.configure(after)
    ticket = tried(plan.next(made.now)).ticket
    assert ticket is not None
    assert ticket.key in ("new", "newer")


def test_a_provider_that_was_removed_keeps_its_limits() -> None:
    made = mesh("p.a", providers=[ProviderSpec("p", "x", rate=RateSpec(concurrency=1))])
    plan = made.plan()
    made.state.rates.configure(RoutingTable.empty())
    tried(plan.next(made.now))
    assert isinstance(made.plan().next(made.now), Wait)
