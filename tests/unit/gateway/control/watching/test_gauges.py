"""The router's state as metrics: what is shown, and that reading it leaves the loop to requests."""

from __future__ import annotations

import asyncio
from typing import Any

from meshd.gateway.control.watching.gauges import AT_ONCE
from meshd.host import clock
from meshd.routing.availability.recovery import stand_by_until
from meshd.routing.table.specs import Allowance, PoolSpec
from tests.support.gateway.builder import CHAT, Gateway, model
from tests.support.routing.causes import because


async def rows(core: Gateway) -> dict[str, dict[tuple[str, ...], Any]]:
    return {family.name: dict(family.rows) for family in await core.router.gauges.read()}


async def test_a_member_that_is_set_aside() -> None:
    core = Gateway()
    now = clock.now()
    stand_by_until(core.runtime.state.model("a.one").availability, because("out of order"), now + 60, now)
    found = await rows(core)
    assert found["meshd.member.available"] == {
        ("chat", "a", "a.one"): 0,
        ("chat", "b", "b.two"): 1,
        ("other", "b", "b.three"): 1,
    }
    assert found["meshd.provider.available"] == {("a",): 1, ("b",): 1}


async def test_limits() -> None:
    core = Gateway(allowances=[Allowance("provider", "a", "cost", "day", 5_000_000_000, "budget")])
    found = await rows(core)
    group = ("provider", "a", "", "cost", "day")
    assert (found["meshd.limit"][group], found["meshd.limit.spent"][group]) == (5.0, 0.0)


async def test_requests_go_between_rows() -> None:
    """Of a thousand models, only a few rows are made at a time."""
    models = [model(f"a.m{number}") for number in range(1000)]
    core = Gateway(models=models, pools=[PoolSpec("chat", CHAT, tuple(each.id for each in models))])
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.ensure_future(others())
    found = await rows(core)
    task.cancel()
    assert len(found["meshd.member.available"]) == 1000
    assert turns >= 1000 // AT_ONCE
