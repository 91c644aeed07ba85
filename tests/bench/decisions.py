"""What a routing decision costs, and that it does not grow with the table."""

from __future__ import annotations

import gc
import statistics
import time
from random import random

from meshd.cdk.provider import Operation
from meshd.routing.capabilities import CapabilityTree
from meshd.routing.needs import read
from meshd.routing.pipeline import Pipeline
from meshd.routing.plan import GiveUp, RequestPlan
from meshd.routing.state import MeshState
from meshd.routing.table import ModelSpec, PoolSpec, ProviderSpec, RoutingTable
from tests.bench.figures import Figure

CHAT = "generation.text-generation.chat-completion"


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
    made, state, pipeline = table(models, pools), MeshState(), Pipeline()
    bodies = [BODY % f"pool{number * 7 % pools}".encode() for number in range(20_000)]
    gc.collect()
    gc.freeze()  # as the daemon does with what stays for good
    taken = []
    for body in bodies:
        began = time.perf_counter()
        asked, needs = read(Operation.CHAT, body)
        plan = RequestPlan(pipeline, made, state, made.resolve(asked).pool, needs, 2000.0, random, 1000.0)
        step = plan.next(1000.0)
        taken.append(time.perf_counter() - began)
        if isinstance(step, GiveUp):
            raise RuntimeError(f"nobody could be asked: {step.error}")
        plan.succeeded(1001.0, 0.1)
    gc.unfreeze()
    return statistics.median(taken[5_000:])


def decision() -> list[Figure]:
    small, large = _cost(10, 2), _cost(10_000, 1_000)
    detail = f"{large * 1e6:.1f} µs with 10,000 models in 1,000 pools, {small * 1e6:.1f} µs with 10 in 2"
    return [Figure("routing decision, large table / small", large / small, 2.0, detail=detail)]
