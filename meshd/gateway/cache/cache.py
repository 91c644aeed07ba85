"""The exact-match cache: kept answers, and requests in flight that others wait for.

Owns: what is kept, for how long and in how many bytes; and that identical requests at the same time are sent once.
Must never: decide what may be kept (`routing/request/cache_key.py`), let a request fail because another did, or be
written to a disk.

An answer is repeated byte for byte, including `id` and `created`; a stream chunk by chunk. A request that finds the
same one in flight follows it, with its own deadline and flow control. If that one fails, followers that have had no
chunk ask again: the first of them for itself and for later ones; after two such failures, each asks for itself. A
follower that has had chunks cannot start over and gets `stream_interrupted`, as it would have alone. Answers of a
superseded request (one that was asked again, or before a reload) are not kept.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Any

from meshd.gateway.cache.shared_request import Reader, SharedReply, SharedRequest
from meshd.gateway.cache.shelf import LARGEST_SHARE, Entry, Shelf
from meshd.gateway.frontends.exchange import ClientGone, Reply, Request, not_read
from meshd.gateway.requests.outcome import Served
from meshd.host.awake import Timeout
from meshd.routing.request.cache_key import Lookup
from meshd.routing.table.specs import ModelSpec, PoolSpec, RoutingTable
from modelmesh.errors import MeshError, RequestCancelledError, RequestTimeoutError, StreamInterrupted

logger = logging.getLogger("meshd.gateway")

HELD_BYTES = 1024**2  # bytes of a stream held for slow followers, if kept answers must be smaller than that
_FOLLOWED = 2  # failed requests that a request follows before it is sent itself
_PAUSE = 64  # chunks delivered before other tasks may run
_GRACE = 2.0  # s that a request may take to notice its deadline


Run = Callable[[Reply], Awaitable[bool]]


class ResponseCache:
    """The cache of all pools. spawn: runs a coroutine in the background. clock: monotonic seconds.

    A request for a model by its own name belongs to the pool whose policies apply to it.
    """

    def __init__(
        self,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]] = asyncio.create_task,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spawn = spawn
        self._clock = clock
        self._table = RoutingTable.empty()
        self._shelves: dict[str, Shelf] = {}
        self._homes: dict[str, str] = {}
        self._in_flight: dict[bytes, SharedRequest] = {}

    # -- policy ---------------------------------------------------------------------------------------

    def configure(self, table: RoutingTable) -> None:
        """Use these policies from now on. Answers of models that were removed or changed, or are no longer in reach of
        the pool, are dropped; requests in flight are no longer followed or kept."""
        before, self._table = self._table, table
        self._homes.clear()
        self._in_flight.clear()
        shelves: dict[str, Shelf] = {}
        for name, pool in table.pools.items():
            policy, shelf = pool.cache, self._shelves.get(name)
            if policy is None:
                continue
            if shelf is None or shelf.policy.scope != policy.scope:
                shelves[name] = Shelf(policy)
                continue
            shelf.policy = policy
            unchanged = {model for model in _reached(pool, table) if _unchanged(model, before, table)}
            for key in [key for key, entry in shelf.entries.items() if entry.model not in unchanged]:
                shelf.drop(key)
            shelf.trim()
            shelves[name] = shelf
        self._shelves = shelves

    def sweep(self) -> None:
        """Drop expired answers, which are never used. Call it now and then."""
        now = self._clock()
        for shelf in self._shelves.values():
            shelf.sweep(now)

    def clear(self, provider: str | None = None) -> None:
        """Forget the answers of one provider, or all."""
        for shelf in self._shelves.values():
            for key, entry in list(shelf.entries.items()):
                if provider is None or entry.mesh.get("provider") == provider:
                    shelf.drop(key)

    def statistics(self) -> dict[str, dict[str, int]]:
        """Pool → what it keeps (entries, bytes, max_size), and counts since the start. hits: requests answered from the
        cache; coalesced: with another request's answer; misses: by a model."""
        return {
            name: {
                "entries": len(shelf.entries),
                "bytes": shelf.size,
                "max_size": shelf.policy.max_size,
                "hits": shelf.hits,
                "coalesced": shelf.coalesced,
                "misses": shelf.misses,
            }
            for name, shelf in self._shelves.items()
        }

    def age(self, pool: str, lookup: Lookup) -> float | None:
        """Age in seconds of the answer that such a request would get now; None if a model would be asked."""
        shelf, now = self._shelf(pool), self._clock()
        entry = None if shelf is None or not lookup.read else shelf.kept(lookup.key, now)
        return None if entry is None else now - entry.at

    # -- requests -------------------------------------------------------------------------------------

    async def answer(
        self, request: Request, pool: PoolSpec, lookup: Lookup | None, run: Run, served: Callable[[Served], None]
    ) -> None:
        """Answer a request: with a kept answer, with one that is in flight, or by asking a model.

        run(reply) asks a model, always answers to that reply, and returns whether the answer may be kept. It may get
        another reply than the request's own, and run in a task that continues after the request's app has disconnected.
        served: called once for a request for which `run` was not called.

        Raises CancelledError, ClientGone, and what `run` raises.
        """
        shelf = None if lookup is None else self._shelf(pool.name)
        for _ in range(_FOLLOWED):
            if lookup is None or shelf is None or not lookup.read:
                break
            entry = shelf.find(lookup.key, self._clock())
            if entry is not None:
                shelf.hits += 1
                await self._replay(request, entry, served)
                return
            shared = self._in_flight.get(lookup.key)
            if shared is None or not shared.open_to(request.deadline.at):
                break
            if await self._follow(request, shared, served):
                shelf.coalesced += 1
                return
            shelf = self._shelf(pool.name)  # a reload may have come in between
        if lookup is None or shelf is None:
            await run(request.way_back)
            return
        shelf.misses += 1
        await self._lead(request, pool.name, lookup.key, run, shelf.policy.max_size // LARGEST_SHARE)

    async def _replay(self, request: Request, entry: Entry, served: Callable[[Served], None]) -> None:
        mesh = {**_told(entry.mesh), "age": round(self._clock() - entry.at, 3)}
        request.way_back.begins(mesh)
        with _Ending(request, served, mesh) as ending:
            for number, data in enumerate(entry.chunks, 1):
                await request.way_back.chunk(data)
                if number % _PAUSE == 0:
                    await asyncio.sleep(0)
            ending.whole(entry.body, entry.headers, entry.usage)

    async def _follow(self, request: Request, shared: SharedRequest, served: Callable[[Served], None]) -> bool:
        """Returns whether that answered the request; if not, nothing has reached its app."""
        with _Ending(request, served, {"coalesced": True}) as ending, shared.read() as reader:
            while True:
                with Timeout(request.deadline.left()):
                    data = await shared.next(reader)
                if data is None:
                    break
                if not reader.taken:
                    request.way_back.begins({**_told(shared.begun), "coalesced": True})
                await request.way_back.chunk(data)
                shared.took(reader)
            if shared.whole:
                ending.mesh = {**_told(shared.mesh), "coalesced": True}
                ending.whole(shared.body, shared.headers, shared.usage)
            elif reader.taken:
                ending.failed(StreamInterrupted("The request whose answer this one shared was cut off; ask again."))
            else:
                return False
        return True

    async def _lead(self, request: Request, pool: str, key: bytes, run: Run, largest: int) -> None:
        reply = request.way_back
        shared = self._in_flight[key] = SharedRequest(max(largest, HELD_BYTES), request.deadline.copy())
        try:
            with shared.read() as reader:
                task = self._spawn(self._ask(shared, request.caller.shares_as, pool, key, run))
                task.add_done_callback(lambda _: self._ended(shared, key))
                shared.task = task
                await _take(reply, shared, reader, task)
        except TimeoutError:
            reply.error(shared.error or not_read())
            return
        except asyncio.CancelledError:
            shared.orphaned = True
            reply.error(RequestCancelledError("The request was cancelled."))
            raise
        except ClientGone:
            shared.orphaned = True
            raise
        if shared.body is not None:
            reply.respond(shared.body, shared.mesh, shared.headers)
        elif shared.whole:
            reply.end(shared.usage, shared.mesh)
        elif shared.bug is not None:
            raise shared.bug
        else:
            reply.begins(shared.begun)
            reply.error(shared.error or RequestCancelledError("The request was cancelled."))

    async def _ask(self, shared: SharedRequest, user: Hashable, pool: str, key: bytes, run: Run) -> None:
        """user: the user whose app started it; the answer counts towards this user's share of the shelf."""
        try:
            keep = await run(SharedReply(shared))
        except Exception as error:
            shared.bug = error
            return
        shelf = self._shelf(pool)
        if keep and shared.whole and not shared.dropped and shelf is not None and self._in_flight.get(key) is shared:
            chunks, mesh = tuple(shared.chunks), shared.mesh
            entry = Entry(shared.body, shared.headers, chunks, shared.usage, mesh, self._clock())
            shelf.put(key, entry, user)

    def _ended(self, shared: SharedRequest, key: bytes) -> None:
        """Called when the task has ended in any way: requests no longer wait for it."""
        shared.close()
        if shared.bug is not None and shared.orphaned:
            logger.error("a shared request failed after its app had left", exc_info=shared.bug)
        if self._in_flight.get(key) is shared:
            del self._in_flight[key]

    def _shelf(self, pool: str) -> Shelf | None:
        home = self._homes.get(pool)
        if home is None:
            of_model = [] if pool in self._table.pools else self._table.pools_of(pool)
            home = self._homes[pool] = of_model[0] if of_model else pool
        return self._shelves.get(home)


class _Ending:
    """Reports, once, the end of a request that was answered without asking a model."""

    def __init__(self, request: Request, served: Callable[[Served], None], mesh: dict[str, Any]) -> None:
        self._request = request
        self._served = served
        self.mesh = mesh

    def __enter__(self) -> _Ending:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> bool:
        if isinstance(error, TimeoutError):
            self.failed(
                RequestTimeoutError(
                    "The answer was not complete before the deadline; ask again, or set a longer timeout."
                )
            )
            return True
        if isinstance(error, asyncio.CancelledError):
            self.failed(self._request.cut_off or RequestCancelledError("The request was cancelled."))
        elif isinstance(error, ClientGone):
            self._tell(error.status, error.why)
        return False

    def whole(self, body: bytes | None, headers: dict[str, str] | None, usage: dict[str, Any] | None) -> None:
        if body is None:
            self._request.way_back.end(usage, self.mesh)
        else:
            self._request.way_back.respond(body, self.mesh, headers)
        self._tell(200)

    def failed(self, error: MeshError) -> None:
        self._request.way_back.error(error)
        self._tell(error.status_code, error.message)

    def _tell(self, status: int, error: str = "") -> None:
        pool, model, provider = (str(self.mesh.get(name, "")) for name in ("pool", "model", "provider"))
        self._served(Served(status, pool, model, provider, self.mesh.get("coalesced", False), error))


async def _take(reply: Reply, shared: SharedRequest, reader: Reader, task: asyncio.Task[None]) -> None:
    """Pass a shared request's chunks on to the app that started it. Raises ClientGone, TimeoutError."""
    try:
        while (data := await shared.next(reader)) is not None:
            if not reader.taken:
                reply.begins(shared.begun)
            await reply.chunk(data)
            shared.took(reader)
    except TimeoutError:
        # The app read nothing until its deadline, which is the request's as well: the request reports that.
        await asyncio.wait({task}, timeout=_GRACE)
        raise


def _told(mesh: dict[str, Any]) -> dict[str, Any]:
    """The `mesh` map of an answer that did not cost its app anything."""
    who: dict[str, Any] = {name: mesh[name] for name in ("pool", "model", "provider") if name in mesh}
    return {**who, "routing_time": 0.0, "queue_time": 0.0, "cost": 0.0, "cached": True}


def _reached(pool: PoolSpec, table: RoutingTable) -> set[str]:
    """The models of a pool and its fallback pools."""
    names: list[str] = [pool.name]
    models: set[str] = set()
    for name in names:
        found = table.pools.get(name)
        if found is not None:
            models.update(found.members)
            names += (other for other in found.fallback_pools if other not in names)
    return models


def _unchanged(model: str, before: RoutingTable, after: RoutingTable) -> bool:
    old, new = before.models.get(model), after.models.get(model)
    return old is not None and new is not None and _what_answers(old) == _what_answers(new)


def _what_answers(model: ModelSpec) -> tuple[object, ...]:
    return model.provider, model.upstream, model.defaults, model.overrides
