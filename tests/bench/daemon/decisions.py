"""What a routing decision costs, and that it does not grow with the table."""

from __future__ import annotations

import gc
import statistics
import time
from random import random

from meshd.compilation.built_in_strategies import built_in_strategies
from meshd.core.prices import Pricing
from meshd.formats.openai.body.needs import read
from meshd.operations import chat
from meshd.routing.attempts.local_counters import LocalCounters
from meshd.routing.attempts.plan import AttemptStep, GiveUp, RequestPlan
from meshd.routing.availability.state import MeshState
from meshd.routing.decision.pipeline import Pipeline
from meshd.routing.request.question import Question, Requester
from meshd.routing.select.expression import compile_selection
from meshd.routing.table.capabilities import CapabilityTree
from meshd.routing.table.specs import Allowance, ModelSpec, PoolSpec, ProviderSpec, RateSpec, RoutingTable
from meshd.sdk.provider import Usage
from tests.bench.tools.figures import Figure

CHAT = "generation.text-generation.chat-completion"
STRATEGIES = built_in_strategies()


def table(models: int, pools: int) -> RoutingTable:
    specs = [ModelSpec(f"p.m{number}", "p", f"m{number}", (CHAT,)) for number in range(models)]
    share = models // pools
    return RoutingTable(
        CapabilityTree.default(),
        specs,
        [ProviderSpec("p", "openai-compatible.v1")],
        [
            PoolSpec(f"pool{number}", CHAT, tuple(spec.id for spec in specs[number * share : (number + 1) * share]))
            for number in range(pools)
        ],
    )


BODY = b'{"model":"%s","messages":[{"role":"user","content":"Hello"}]}'


def _cost(models: int, pools: int) -> float:
    """Seconds from a request's body to the model it goes to, at the median of many, over all pools in turn."""
    made, state = table(models, pools), MeshState()
    pipeline, counters = Pipeline(state, STRATEGIES), LocalCounters(state)
    requester = Requester(random=random)
    bodies = [BODY % f"pool{number * 7 % pools}".encode() for number in range(20_000)]
    gc.collect()
    gc.freeze()  # as the daemon does with what stays for good
    taken = []
    for body in bodies:
        began = time.perf_counter()
        asked, needs, *_ = read(chat.CHAT, body, budgeted=False)
        question = Question(made, made.resolve(asked).pool, needs, 1000.0, requester)
        plan = RequestPlan(pipeline, counters, question, 2000.0)
        step = plan.next(1000.0)
        taken.append(time.perf_counter() - began)
        if isinstance(step, GiveUp):
            raise RuntimeError(f"no model could be asked: {step.error}")
        plan.succeeded(1001.0, 0.1)
    gc.unfreeze()
    return statistics.median(taken[5_000:])


def decision() -> list[Figure]:
    small, large = _cost(10, 2), _cost(10_000, 1_000)
    detail = f"{large * 1e6:.1f} µs with 10,000 models in 1,000 pools, {small * 1e6:.1f} µs with 10 in 2"
    return [Figure("routing decision, large table / small", large / small, 2.0, detail=detail)]


# -- with every rule ------------------------------------------------------------------------------------

HUNDRED = 100
IMAGE = b'{"type":"image_url","image_url":{"url":"https://example.org/a.png"}}'
SEEN = b'{"model":"pool","messages":[{"role":"user","content":[' + IMAGE + b"]}]}"


def ruled(strategy: str, **rules: object) -> tuple[RoutingTable, MeshState]:
    """A pool of a hundred models at ten providers, with prices, a budget in every scope and a limit on requests."""
    specs = [
        ModelSpec(
            f"p{number % 10}.m{number}",
            f"p{number % 10}",
            f"m{number}",
            (CHAT,),
            pricing=Pricing(1_000_000 + number, 2_000_000),
            max_output_tokens=1000,
            features={"vision": True},
        )
        for number in range(HUNDRED)
    ]
    providers = [ProviderSpec(f"p{number}", "x", rate=RateSpec(rpm=100_000_000)) for number in range(10)]
    members = tuple(spec.id for spec in specs)
    pool = PoolSpec("pool", CHAT, members, strategy=strategy, **rules)  # type: ignore[arg-type]
    scopes = [("pool", "pool"), *(("provider", provider.name) for provider in providers)]
    allowances = [Allowance(*scope, "cost", "day", 10**18) for scope in scopes]
    made, state = RoutingTable(CapabilityTree.default(), specs, providers, [pool], (), allowances), MeshState()
    state.accounts.configure(made.allowances, made.timezone)
    return made, state


def _ruled_cost(strategy: str, body: bytes = BODY % b"pool", **rules: object) -> float:
    """Seconds of a decision with its reservation, at the median."""
    made, state = ruled(strategy, **rules)
    pipeline, counters = Pipeline(state, STRATEGIES), LocalCounters(state)
    taken, now, requester = [], 1000.0, Requester(random=random)
    gc.collect()
    gc.freeze()
    needs = read(chat.CHAT, body)[1]
    for _ in range(3_000):
        now += 0.001
        began = time.perf_counter()
        question = Question(made, made.resolve("pool").pool, needs, now, requester)
        plan = RequestPlan(pipeline, counters, question, now + 60.0)
        step = plan.next(now)
        taken.append(time.perf_counter() - began)
        if not isinstance(step, AttemptStep):
            raise RuntimeError(f"{strategy}: {step}")
        plan.succeeded(now, 0.1, usage=Usage(10, 10))
        state.model(step.model.id).total.add(0.1)
    gc.unfreeze()
    return statistics.median(taken[1_000:])


def strategies() -> list[Figure]:
    """The issue's bound: a decision and its reservation take 60 µs at p50 with a hundred models."""
    costs = {name.split(".")[1]: _ruled_cost(name) for name in STRATEGIES}
    costs["cost-first, an image"] = _ruled_cost("modelmesh.cost-first.v1", SEEN)
    costs["load-balanced, absolute"] = _ruled_cost("modelmesh.load-balanced.v1", balance_mode="absolute")
    live = compile_selection("latency.p50 < 60 or not known(latency.p50)")
    costs["a live condition in select"] = _ruled_cost("modelmesh.round-robin.v1", select=live)
    score = compile_selection("-default(latency.p50, 0)")
    scored = _ruled_cost("modelmesh.round-robin.v1", select=score)
    worst = max(costs, key=costs.__getitem__)
    detail = ", ".join(f"{name} {cost * 1e6:.0f}" for name, cost in sorted(costs.items(), key=lambda each: each[1]))
    return [
        Figure(
            "decision + reservation, 100 models, slowest strategy, p50",
            costs[worst] * 1e6,
            60.0,
            unit="µs",
            detail=detail,
        ),
        Figure(
            "the same with a score in `select` that is worked out for all of them, p50",
            scored * 1e6,
            150.0,
            unit="µs",
            detail="`-default(latency.p50, 0)`",
        ),
    ]
