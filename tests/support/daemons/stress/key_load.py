"""Requests in flight while a key is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any

MESSAGES = [{"role": "user", "content": "hi"}]


class Load:
    """`width` requests in flight, half of them streams, until it has been told that it is enough. models: each in
    turn."""

    def __init__(self, daemon: Any, width: int = 64, models: Sequence[str] = ("p.m",)) -> None:
        self.daemon = daemon
        self._models = cycle(models)
        self.width = width
        self.failed: list[str] = []
        self.served = 0
        self.enough = False
        self.moved = asyncio.Event()

    async def __aenter__(self) -> Load:
        self.client = self.daemon.async_client(timeout=60)
        self.workers = [asyncio.ensure_future(self._ask(bool(number % 2))) for number in range(self.width)]
        await self.more(self.width)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.enough = True
        await asyncio.wait_for(asyncio.gather(*self.workers), 60)
        await self.client.close()

    async def more(self, count: int) -> None:
        """Until so many more have ended."""
        wanted = self.served + len(self.failed) + count
        async with asyncio.timeout(60):
            while self.served + len(self.failed) < wanted:
                self.moved.clear()
                await self.moved.wait()

    async def _ask(self, stream: bool) -> None:
        while not self.enough:
            try:
                model = next(self._models)
                answer = await self.client.chat.completions.create(model=model, messages=MESSAGES, stream=stream)
                if stream:
                    text = "".join([chunk.choices[0].delta.content or "" async for chunk in answer if chunk.choices])
                    assert text == "hi"
            except Exception as error:
                self.failed.append(repr(error))
                await asyncio.sleep(0.05)
            else:
                self.served += 1
            self.moved.set()


def under_load(daemon: Any, change: Callable[[], None], more: int = 200, **load: Any) -> Load:
    """What came of `more` requests after the change."""

    async def run() -> Load:
        async with Load(daemon, **load) as running:
            await asyncio.to_thread(change)
            await running.more(more)
        return running

    return asyncio.run(run())
