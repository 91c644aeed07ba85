"""Apps, a provider and a cache whose loop is turned by hand until nothing moves any more.

No I/O, and no clock but the deadlines of exchanges.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import msgspec

from meshd.gateway.cache.cache import ResponseCache
from meshd.gateway.frontends.exchange import ClientGone, Reply
from meshd.gateway.requests.outcome import Served
from meshd.routing.request.cache_key import Lookup
from meshd.routing.table.capabilities import CapabilityTree
from meshd.routing.table.policies import CachePolicy
from meshd.routing.table.specs import ModelSpec, PoolSpec, RoutingTable
from modelmesh import MeshError
from tests.support.gateway.asked import Asked

MESH = {"pool": "chat", "model": "p.m", "provider": "p", "cost": 0.5, "routing_time": 0.1, "attempts": [{}]}
JSON = {"content-type": "application/json"}
USAGE = {"total_tokens": 3}
A, B = Lookup(b"a"), Lookup(b"b")
RENEWED = msgspec.structs.replace(A, read=False)


class App(Asked):
    """An app's end: what it was sent, in order. gone: it has disconnected."""

    def __init__(self, *, timeout: float = 100.0, credit: int = 1000) -> None:
        super().__init__(timeout=timeout, credit=credit)
        self.told: list[Any] = []
        self.cached: list[Served] = []
        self.gone = False

    def on_respond(self, body, mesh, headers):
        self.told.append(("respond", body, mesh, headers))

    def on_error(self, error):
        self.told.append(("error", error.code, error.status_code))

    def on_end(self, usage, mesh):
        self.told.append(("end", usage, mesh))

    def on_chunk(self, data):
        if self.gone:
            raise ClientGone
        self.told.append(data)

    @property
    def text(self) -> bytes:
        return b"".join(each for each in self.told if isinstance(each, bytes))

    @property
    def done(self) -> bool:
        return self.reply.done

    @property
    def how(self) -> str | None:
        return self.told[-1][0] if self.done else None

    @property
    def mesh(self) -> dict[str, Any]:
        return self.told[-1][2]


@dataclass
class Provider:
    """What requests run into: each waits to be told what happens to it, by its number."""

    replies: list[Reply] = field(default_factory=list)
    steps: list[asyncio.Queue[Any]] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)

    async def run(self, reply: Reply) -> bool:
        number, steps = len(self.replies), asyncio.Queue()
        self.replies.append(reply)
        self.steps.append(steps)
        try:
            while True:
                step = await steps.get()
                if isinstance(step, bytes):
                    await reply.chunk(step)
                elif isinstance(step, MeshError):
                    reply.error(step)
                    return False
                elif isinstance(step, Exception):
                    raise step
                else:
                    return step(reply)
        except asyncio.CancelledError:
            self.cancelled.append(number)
            reply.error(MeshError("cancelled", status_code=499, code="cancelled"))
            raise


def body(text: bytes, keep: bool = True, mesh: dict[str, Any] = MESH) -> Any:
    def step(reply: Reply) -> bool:
        reply.respond(text, mesh, JSON)
        return keep

    return step


def end(keep: bool = True, mesh: dict[str, Any] = MESH) -> Any:
    def step(reply: Reply) -> bool:
        reply.end(USAGE, mesh)
        return keep

    return step


class World:
    """A cache of the pool `chat`, its clock, and the provider behind it."""

    def __init__(self, **policy: Any) -> None:
        self.now = 1000.0
        self.provider = Provider()
        self.tasks: list[asyncio.Task[None]] = []
        self.cache = ResponseCache(clock=lambda: self.now)
        self.configure(**policy)

    def configure(self, models: tuple[ModelSpec, ...] = (), pools: tuple[PoolSpec, ...] = (), **policy: Any) -> None:
        specs = models or (ModelSpec("p.m", "p", "m", ("x",)),)
        chat = PoolSpec("chat", "", tuple(spec.id for spec in specs), cache=CachePolicy(**policy))
        self.pool = next((pool for pool in pools if pool.name == "chat"), chat)
        self.cache.configure(RoutingTable(CapabilityTree.default(), specs, (), pools or (chat,)))

    def ask(self, lookup: Lookup | None = A, app: App | None = None, pool: PoolSpec | None = None) -> App:
        app = app or App()
        work = self.cache.answer(app, pool or self.pool, lookup, self.provider.run, app.cached.append)
        app.task = asyncio.create_task(work)
        self.tasks.append(app.task)
        return app

    async def settle(self, turns: int = 30) -> None:
        """Until nothing moves any more: a turn for each wake-up of a chain, and a good many to spare."""
        for _ in range(turns):
            await asyncio.sleep(0)

    async def tell(self, number: int, *steps: Any) -> None:
        for step in steps:
            self.provider.steps[number].put_nowait(step)
        await self.settle(30 + len(steps))

    async def answered(self, *steps: Any, lookup: Lookup = A, pool: PoolSpec | None = None) -> App:
        """A request that is asked, and gets this."""
        asked = len(self.provider.replies)
        app = self.ask(lookup, pool=pool)
        await self.settle()
        assert len(self.provider.replies) == asked + 1, "it was answered without being asked"
        await self.tell(asked, *steps)
        assert app.done
        return app

    async def hit(self, lookup: Lookup = A, pool: PoolSpec | None = None) -> App | None:
        """A request's app where it is answered without being asked, else None (and it is taken back)."""
        asked = len(self.provider.replies)
        app = self.ask(lookup, pool=pool)
        await self.settle()
        if len(self.provider.replies) == asked:
            return app
        app.cancel()
        await self.settle()
        return None

    @property
    def asked(self) -> int:
        return len(self.provider.replies)

    @property
    def counts(self) -> tuple[int, int, int]:
        of = self.cache.statistics()["chat"]
        return of["hits"], of["coalesced"], of["misses"]
