"""Users take turns, and a place that is not taken is given back."""

from __future__ import annotations

import asyncio
import contextlib

from meshd.gateway.batches.slots import Slots


async def test_the_user_with_the_fewest_is_next() -> None:
    slots, order = Slots(lambda: 2), list[str]()
    release = asyncio.Event()

    async def hold(user: str) -> None:
        async with slots.one(user):
            order.append(user)
            await release.wait()

    tasks = [asyncio.ensure_future(hold(user)) for user in ("a", "a", "a", "a", "b")]
    await asyncio.sleep(0)
    assert order == ["a", "a"]
    release.set()
    await asyncio.gather(*tasks)
    assert order.index("b") == 2


async def test_who_stops_waiting_leaves_no_gap() -> None:
    slots = Slots(lambda: 1)
    async with slots.one("a"):
        waits = asyncio.ensure_future(_take(slots, "b"))
        after = asyncio.ensure_future(_take(slots, "b"))
        await asyncio.sleep(0)
        waits.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waits
    await asyncio.wait_for(after, 1)


async def test_a_larger_capacity_counts_at_once() -> None:
    most = [1]
    slots = Slots(lambda: most[0])
    async with slots.one("a"):
        waits = asyncio.ensure_future(_take(slots, "a"))
        await asyncio.sleep(0)
        most[0] = 2
        slots.grant()
        await asyncio.wait_for(waits, 1)


async def _take(slots: Slots, user: str) -> None:
    async with slots.one(user):
        pass
