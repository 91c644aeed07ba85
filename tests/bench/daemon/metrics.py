"""What reading metrics costs, and how long it keeps requests waiting."""

from __future__ import annotations

import asyncio
import statistics
import time

from meshd.connectors.observability.prometheus.exposition import text_of
from meshd.core.events.records import Attempt, Outcome
from meshd.routing.table.specs import PoolSpec
from meshd.telemetry.metrics.metrics import Metrics
from tests.bench.tools.figures import Figure
from tests.support.gateway.builder import CHAT, Gateway, model

SERIES = 10_000
_TIMES = 20


def scrape() -> list[Figure]:
    """Reading ten thousand series in telemetry's thread, and the longest time that the loop gives to a thousand models
    without a turn for requests."""
    metrics = Metrics()
    for number in range(110):
        tried = Attempt(f"p.m{number}", "p", True, duration=0.1, tokens_in=5, tokens_out=9)
        metrics.count(_outcome(tried))
    taken = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        text = text_of(metrics.families())
        taken.append(time.perf_counter() - began)
    series = sum(not line.startswith("#") for line in text.splitlines())
    if series < SERIES:
        raise RuntimeError(f"only {series} series were made")
    held = [asyncio.run(_longest_hold()) for _ in range(_TIMES)]
    return [
        Figure("scrape", statistics.median(taken) * 1e3, 50, "ms", detail=f"{series} series, outside of the loop"),
        Figure("scrape, loop held", statistics.median(held) * 1e3, 2, "ms", detail="longest, 1,000 models"),
    ]


def _outcome(tried: Attempt) -> Outcome:
    return Outcome(
        "ab",
        1.0,
        "chat.completions",
        "chat",
        200,
        pool="chat",
        model=tried.model,
        provider=tried.provider,
        attempts=(tried,),
        total_time=0.2,
        first_token_time=0.05,
        tokens_out=9,
    )


async def _longest_hold() -> float:
    models = [model(f"a.m{number}") for number in range(1000)]
    core = Gateway(models=models, pools=[PoolSpec("chat", CHAT, tuple(each.id for each in models))])
    longest = 0.0

    async def others() -> None:
        nonlocal longest
        while True:
            began = time.thread_time()  # other processes do not count
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - began)

    task = asyncio.ensure_future(others())
    await asyncio.sleep(0)
    await core.router.gauges.read()
    task.cancel()
    return longest
