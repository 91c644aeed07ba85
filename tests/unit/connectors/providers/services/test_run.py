"""Steps are carried out in order, and a job whose call ends early is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from meshd.connectors.providers.services.run import carry_out
from meshd.sdk.provider import FailureKind, ProviderFailure
from meshd.services.seam import Ask, Begun, Malformed, Result, Steps, Told, Wait, failed

CANCEL = Ask("DELETE", "jobs/1")


class World:
    """What was asked and cancelled. answers: what a path is answered with, or raises."""

    def __init__(self, answers: Callable[[Ask], Any] = lambda _: b"{}") -> None:
        self.asked: list[str] = []
        self.cancelled: list[Ask] = []
        self._answers = answers

    async def ask(self, asked: Ask) -> Told:
        self.asked.append(f"{asked.method} {asked.path}")
        answer = self._answers(asked)
        if isinstance(answer, Exception):
            raise answer
        return Told(200, {}, answer)

    async def run(self, steps: Steps) -> Result:
        return await carry_out(steps, self.ask, self._malformed, self.cancelled.append)

    def _malformed(self, asked: Ask, told: Told | None, lacks: str) -> ProviderFailure:
        return ProviderFailure(FailureKind.BAD_ANSWER, f"{asked.path} {lacks}", status=200)


def job(
    end: Callable[[], Any] = lambda: Result({"done": True}), waits: float = 0.0, waiting: asyncio.Event | None = None
) -> Steps:
    yield Ask("POST", "jobs")
    yield Begun(CANCEL)
    if waiting is not None:
        waiting.set()
    yield Wait(waits)
    told = yield Ask("GET", "jobs/1")
    told.object()
    ended = end()
    if isinstance(ended, Exception):
        raise ended
    return ended


async def test_steps_are_carried_out_in_order() -> None:
    world = World()
    assert (await world.run(job())).document == {"done": True}
    assert (world.asked, world.cancelled) == (["POST jobs", "GET jobs/1"], [])


async def test_a_call_that_is_cancelled_ends_its_job() -> None:
    world, waiting = World(), asyncio.Event()
    running = asyncio.ensure_future(world.run(job(waits=60.0, waiting=waiting)))
    await asyncio.wait_for(waiting.wait(), 10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert world.cancelled == [CANCEL]


async def test_a_job_that_cannot_be_asked_about_ends_and_may_have_cost_something() -> None:
    def answers(asked: Ask) -> Any:
        return ProviderFailure(FailureKind.SERVER, "down", status=503, unsent=True) if asked.method == "GET" else b"{}"

    world = World(answers)
    with pytest.raises(ProviderFailure) as failure:
        await world.run(job())
    assert (failure.value.status, failure.value.unsent) == (0, False)
    assert world.cancelled == [CANCEL]


@pytest.mark.parametrize("why", [failed("it is encrypted"), Malformed("without pages")])
async def test_a_job_that_came_to_its_end_is_not_cancelled(why: Exception) -> None:
    world = World()
    with pytest.raises(ProviderFailure, match=r"encrypted|without pages"):
        await world.run(job(lambda: why))
    assert world.cancelled == []


async def test_what_fails_before_a_job_is_as_it_was() -> None:
    world = World(lambda _: ProviderFailure(FailureKind.RATE_LIMIT, "slow down", status=429))
    with pytest.raises(ProviderFailure) as failure:
        await world.run(job())
    assert (failure.value.status, world.cancelled) == (429, [])
