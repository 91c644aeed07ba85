"""From an admitted request to its inference, or to what stands in for one.

Owns: the formats that apps speak here, the hooks, and what waits for the first model lists.
Must never: know a front end, or how a model is chosen.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import Executor
from functools import partial

from meshd.compilation.made_connectors import hooks_of
from meshd.compilation.running_config import RunningConfig
from meshd.core.events.event_type import EventType
from meshd.gateway.cache.cache import ResponseCache
from meshd.gateway.cache.cached_requests import lookup_of
from meshd.gateway.frontends.exchange import Request
from meshd.gateway.requests import arrival
from meshd.gateway.requests.content import ContentCapture
from meshd.gateway.requests.first_lists import FirstLists
from meshd.gateway.requests.hooks.chain import HookChain, HookedRequest
from meshd.gateway.responses.keeper import ResponseKeeper
from meshd.gateway.runtime import Runtime
from meshd.gateway.spoken import Spoken
from meshd.sdk.hooks import Hook
from modelmesh.errors import MeshError, NotFoundError

logger = logging.getLogger("meshd.router")


class Serving:
    """spoken: by path. reader: reads long bodies, in another thread. first_lists: whether they are still expected."""

    def __init__(
        self,
        runtime: Runtime,
        spoken: dict[str, Spoken],
        responses: ResponseKeeper,
        cache: ResponseCache,
        reader: Executor,
        first_lists: FirstLists,
    ) -> None:
        self.hooks: HookChain | None = None
        self.first_lists = first_lists
        self._runtime = runtime
        self._spoken = spoken
        self._responses = responses
        self._cache = cache
        self._reader = reader
        self._content = ContentCapture()

    def commit(self, generation: RunningConfig) -> None:
        """Use another generation from now on. Requests in flight keep their hooks."""
        hooks, objections = hooks_of(generation.config)
        for objection in objections:  # none, if they were asked for
            logger.error("%s", objection)
        self.use_hooks(hooks)
        self._content.configure(generation.config.observability)

    def use_hooks(self, hooks: Iterable[tuple[str, Hook]]) -> None:
        """Use these hooks, by name and in this order, until the next configuration."""
        chain = HookChain(hooks, self._hook_failed, self._runtime.outcomes.request_ended)
        self.hooks = chain if chain else None

    def _hook_failed(self, hook: str, why: str) -> None:
        self._runtime.publisher.event(EventType.HOOK_FAILED, "error", {}, why, {"hook": hook})

    async def infer(self, request: Request) -> None:
        """Serve a request for a model. Raises MeshError."""
        runtime, spoken = self._runtime, self._spoken[request.path]
        if runtime.sampling.on:
            request.trace = runtime.sampling.begin(request.headers)
        await arrival.read_body(self._reader, request, spoken.operation)
        if self._content.wanted:
            self._content.begin(request, spoken)
        if len(request.body) > arrival.LONG:
            await arrival.read_ahead(self._reader, runtime, request, spoken)
        if self.first_lists.expected:
            offers = partial(self._offers, request, spoken)
            await self.first_lists.wait(request.arrived, request.deadline.at, offers)
        if not await self._responses.open(request, spoken):
            return
        if self.hooks is None:
            await self._ask(request, spoken)
        else:
            await HookedRequest(self.hooks, request).run(partial(self._ask, request, spoken))

    async def _ask(self, request: Request, spoken: Spoken, hooked: HookedRequest | None = None) -> None:
        begin = partial(arrival.begin, self._runtime, request, spoken)
        try:
            inference = begin()
            if hooked is not None:
                hooked_on = await hooked.before_request(inference, begin)
                if hooked_on is None:
                    return
                inference = hooked_on
            lookup = lookup_of(inference)
        except MeshError as error:
            refused = arrival.refused(self._runtime, request, spoken.operation, error)
            self._runtime.outcomes.request_ended(refused, request.work)
            raise
        if lookup is None:
            await inference.run()
        else:
            await self._cache.answer(request, inference.target.pool, lookup, inference.answer, inference.served)

    def _offers(self, request: Request, spoken: Spoken) -> bool:
        """Whether the table has a model for it, or another error than a missing model."""
        try:
            return any(pool.members for pool in arrival.begin(self._runtime, request, spoken).plan.pools)
        except MeshError as error:
            return not isinstance(error, NotFoundError)
