"""Probes: requests without an app, to check health.

Owns: sending a probe to a provider or a pool's models, and reporting its result.
Must never: decide when to probe what (`discovery/health_monitor.py`, `pool_probes.py`), or what an answer means
(`routing/availability/consequences.py`). `token_probe.py` has what a token costs.
"""

from __future__ import annotations

import asyncio
import logging

from meshd import messages
from meshd.core.events.answering import ProviderAnswering
from meshd.gateway.actors import Tell
from meshd.gateway.requests.attempts.attempt import OVERTIME
from meshd.gateway.requests.streams.relay import failure_of_bug
from meshd.gateway.runtime import Runtime
from meshd.gateway.upkeep.token_probe import NotSent, ask_one_token
from meshd.host import clock
from meshd.host.awake import Timeout
from meshd.routing.availability import probes as rules
from meshd.routing.availability import recovery, used_up
from meshd.routing.availability.state import availabilities
from meshd.routing.decision.stages import maintenance
from meshd.routing.table.specs import ModelSpec, PoolSpec, RoutingTable
from meshd.sdk.provider import FailureKind, ProviderFailure

logger = logging.getLogger("meshd.router")

AT_ONCE = 4
"""Concurrent probes of models: a start must not become a load test."""

_REFUSED_AFTER_READING = frozenset({FailureKind.UNSUPPORTED, FailureKind.INVALID_REQUEST, FailureKind.CONTENT_POLICY})
"""Failures of a request for one token that show a running server: it has read the request."""

_LIST_REFUSED = frozenset({401, 403, 404, 405, 500, 501})
"""Statuses that show a running server: the key may not be allowed to see the list, or the server has no list."""


class Probes:
    """For one router. Its coroutines raise only CancelledError."""

    def __init__(self, runtime: Runtime, tell: Tell) -> None:
        self._runtime = runtime
        self._tell = tell
        self._places = asyncio.Semaphore(AT_ONCE)

    # -- providers ------------------------------------------------------------------------------------

    async def provider(self, message: messages.Probe) -> None:
        """Probe a provider and report to the health monitor; then ask for its quota, and apply it."""
        began = clock.now()
        error, kind, refused, elsewhere = "", "", False, False
        try:
            with Timeout(message.timeout + OVERTIME):
                await self._ask_provider(message)
        except ProviderFailure as failure:
            if failure.kind is FailureKind.UNSUPPORTED and message.method == "completion":
                return  # no token may be spent on a probe now, which says nothing about the provider
            error, kind, elsewhere = failure.message, failure.kind, failure.elsewhere
            if kind is FailureKind.LOCAL:
                self._runtime.outcomes.shortages.note(failure.lack, clock.now())
            serves = self._runtime.state.provider(message.provider).answering is ProviderAnswering.SERVES
            trusts = message.method == "auto" or (message.method == "models" and serves)
            refused = trusts and (failure.status in _LIST_REFUSED or elsewhere)
            if elsewhere:
                kind = FailureKind.UNSUPPORTED
            elif failure.status == 404 and message.method != "completion":
                error = f"no API at this path; check base_url: {error}"
        except TimeoutError:
            error, kind = f"no answer within {message.timeout:g} s", FailureKind.TIMEOUT
        except Exception as bug:
            logger.exception("probing %s failed unexpectedly", message.provider)
            failed = failure_of_bug(bug)
            error, kind = failed.message, failed.kind
        latency = clock.now() - began
        known = self._runtime.state.provider(message.provider).answering
        probed = messages.Probed(
            message.provider, message.token, latency, error, kind, refused, known, elsewhere=elsewhere
        )
        self._tell("health", probed)
        if message.quota and not error:
            await self._ask_quota(message)

    async def _ask_provider(self, message: messages.Probe) -> None:
        if message.method == "completion" and await self._ask_any_model(message):
            return
        with self._runtime.connectors.lease(message.provider) as provider:
            await provider.probe(message.timeout)

    async def _ask_any_model(self, message: messages.Probe) -> bool:
        """Returns whether there was a model that may be asked. If not, the list of models, which is free, has to
        suffice."""
        runtime = self._runtime
        for model in runtime.table.models.values():
            if model.provider != message.provider or runtime.state.model(model.id).deactivated is not None:
                continue
            try:
                await ask_one_token(self._runtime, _home_of(runtime.table, model), model, message.timeout)
            except NotSent:
                continue
            except ProviderFailure as failure:
                if failure.kind not in _REFUSED_AFTER_READING:
                    raise
            return True
        return False

    async def _ask_quota(self, message: messages.Probe) -> None:
        runtime = self._runtime
        try:
            with Timeout(message.timeout), runtime.connectors.lease(message.provider) as provider:
                status = await provider.quota()
        except (ProviderFailure, TimeoutError) as failure:
            logger.debug("%s does not report its quota: %s", message.provider, failure)
            return
        except Exception:
            logger.exception("asking %s for its quota failed unexpectedly", message.provider)
            return
        table = runtime.table
        spec = table.providers.get(message.provider)
        if status is not None and spec is not None:
            runtime.publisher.changed(used_up.record_quota(runtime.state, spec, status, clock.now(), table.timezone))

    # -- models ---------------------------------------------------------------------------------------

    async def models(self, message: messages.ProbeModels) -> None:
        """Ask members of a pool for one token each; results apply at once."""
        runtime, now = self._runtime, clock.now()
        pool = runtime.table.pools.get(message.pool)
        if (
            pool is None
            or maintenance.objection_of(pool, now + runtime.state.ahead, runtime.table.timezone) is not None
        ):
            return
        wanted = rules.to_probe(runtime.state, runtime.table, pool, now, message.models, message.resting)
        await asyncio.gather(*(self._probe(pool, runtime.table.models[id], message.timeout) for id in wanted))

    async def _probe(self, pool: PoolSpec, model: ModelSpec, timeout: float) -> None:
        async with self._places:  # before anything is reserved: requests may test the model while its probe waits
            state, tester = self._runtime.state, object()
            tested = list(availabilities(state, pool.name, model.id, model.provider))
            for availability in tested:
                recovery.begin_probation(availability, tester, clock.now())
            try:
                self._record(pool, model, await self._failure(pool, model, timeout), tester)
            except NotSent as why:
                logger.debug("%s is not probed: %s", model.id, why)
            finally:
                for availability in tested:
                    recovery.end_probation(availability, tester)

    async def _failure(self, pool: PoolSpec, model: ModelSpec, timeout: float) -> ProviderFailure | None:
        try:
            await ask_one_token(self._runtime, pool, model, timeout)
        except ProviderFailure as failure:
            return failure
        return None

    def _record(self, pool: PoolSpec, model: ModelSpec, failure: ProviderFailure | None, tester: object) -> None:
        runtime, table = self._runtime, self._runtime.table
        provider = table.providers.get(model.provider)
        if provider is None:  # a reload has removed it
            return
        changes = rules.record_probe(runtime.state, pool, model, provider, failure, clock.now(), tester, table.timezone)
        runtime.publisher.changed(changes)
        if failure is not None:
            runtime.outcomes.attempt_failed(model.provider, failure)


def _home_of(table: RoutingTable, model: ModelSpec) -> PoolSpec:
    """The pool whose rules apply to a provider's probe: the first with the model, else one of its own."""
    found = next((pool for pool in table.pools.values() if model.id in pool.positions), None)
    return found or PoolSpec(model.id, "", (model.id,))
