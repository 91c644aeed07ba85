"""The router as a plain object: what the actor's thread owns, and what happens to it.

Owns: the live state, the generation in use, the socket, the connectors, the journal; and the switch to another
generation at one instant.
Must never: be touched from another thread, or wait for one while a request does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from meshd import messages
from meshd.compilation.running_config import RunningConfig
from meshd.config.schema.root import DaemonConfig
from meshd.connectors.registry import ConnectorRegistry
from meshd.core.caller import Peer
from meshd.core.durations import format_duration
from meshd.core.records import Event, Outcome
from meshd.gateway.app_identity import AppMatcher
from meshd.gateway.cache.cache import ResponseCache
from meshd.gateway.connector_pool import ProviderSet
from meshd.gateway.control.dispatcher import Dispatcher
from meshd.gateway.frontends.admission import Admission, Limits
from meshd.gateway.frontends.exchange import Frontend, Request
from meshd.gateway.frontends.inproc import InprocFrontend
from meshd.gateway.frontends.ipc.server import IpcServer
from meshd.gateway.outside_strategies import OutsideStrategies
from meshd.gateway.requests import request as inference
from meshd.gateway.requests.waiting_room import WaitingRoom
from meshd.gateway.upkeep.clients import ClientBook
from meshd.gateway.upkeep.key_renewal import KEY_REFUSED, KeyRenewal
from meshd.gateway.upkeep.model_lists import Listing
from meshd.gateway.upkeep.probes import Probing
from meshd.gateway.upkeep.shortages import Lacks
from meshd.gateway.upkeep.state_journal import Keeper
from meshd.host import clock
from meshd.host.awake import Limit
from meshd.routing.availability import failures, recovery
from meshd.routing.availability import state as states
from meshd.routing.availability.state import Change, MeshState
from meshd.routing.decision import features
from meshd.routing.decision.pipeline import Pipeline
from meshd.routing.table.policies import RecoveryPolicy
from meshd.routing.table.specs import RoutingTable
from meshd.sdk.provider import FailureKind, Operation, ProviderFailure
from meshd.spend.journal import JournalWriter, open_segment
from modelmesh.errors import MeshError, NotFoundError, RequestCancelledError

logger = logging.getLogger("meshd.router")

_ABOUT_THE_PROVIDER = frozenset(
    {FailureKind.CONNECTION, FailureKind.TIMEOUT, FailureKind.SERVER, FailureKind.AUTHENTICATION}
)
_GATHER = 0.02  # s that ended requests are gathered before telemetry gets them
_WORTH_TELLING = 5.0  # s of such a step: less may be a busy machine
_A_STEP = 0.5  # s: if the clocks drift apart by more, one was set
_LISTS_AWAITED = 5.0  # s that a request waits for what discovery may find
COUNTERS_EVERY = 5.0  # s between two saves of counters that changed

Tell = Callable[[str, messages.Message], None]
Ask = Callable[..., Awaitable[Any]]


class RouterCore:
    """tell, ask: to other actors. spawn: runs a coroutine in the background."""

    def __init__(self, registry: ConnectorRegistry, tell: Tell, ask: Ask, spawn: Callable[[Any], Any]) -> None:
        self.tell = tell
        self.ask = ask
        self.spawn = spawn
        self.started = clock.now()
        self.generation: RunningConfig | None = None
        self._settings = DaemonConfig()  # of the generation
        self.providers = ProviderSet(registry)
        self.journal = JournalWriter(-1, self._journal_failed)
        self.journal_path = ""
        self._outcomes: list[Outcome] = []
        self.requests_total = 0
        self.requests_failed = 0
        self._expecting = False  # models that discovery has not found yet
        self._news = asyncio.Event()  # of another table, or that nothing is expected any more
        self.keeper = Keeper(self)
        self.probing = Probing(self)
        self.listing = Listing(self)
        self.cache = ResponseCache(spawn)
        self.clients = ClientBook()
        self.lacks = Lacks()
        self.strategies = OutsideStrategies(self._strategy_set_aside)
        state = MeshState()
        self.mesh = inference.Mesh(
            table=RoutingTable.empty(),
            state=state,
            pipeline=Pipeline(state),
            provider=self.providers.lease,
            ledger=self.journal,
            room=WaitingRoom(
                max_queue=lambda: self._settings.max_queue,
                queue_timeout=lambda: self._settings.queue_timeout,
            ),
            apps=AppMatcher(RoutingTable.empty()),
            settled=self._settled,
            changed=self._changed,
            failed=self._attempt_failed,
            event=self.event,
            finished=self._finished,
            renewed=KeyRenewal(self).renewed,
        )
        self.dispatcher = Dispatcher(frozenset(inference.OPERATIONS), self._infer)
        self.admission = Admission(self._accept, frozenset(inference.OPERATIONS), _limits(self._settings))
        self.server = IpcServer(self.admission, on_event=self._peer_event)
        self.inproc = InprocFrontend(self.admission)
        self.frontends: tuple[Frontend, ...] = (self.server, self.inproc)

    # -- requests -------------------------------------------------------------------------------------

    def _accept(self, exchange: Request) -> None:
        self.look_at_clock(exchange.arrived_at - exchange.arrived)

        def ended(task: asyncio.Task[None]) -> None:
            if task.cancelled():  # perhaps before it began
                exchange.reply.error(RequestCancelledError("The request was cancelled."))

        exchange.task = self.spawn(self.dispatcher.run(exchange))
        exchange.task.add_done_callback(ended)

    async def _infer(self, exchange: Request) -> None:
        operation = inference.OPERATIONS[exchange.path]
        if self._expecting:
            await self._wait_for_lists(exchange, operation)
        try:
            request = inference.begin(self.mesh, exchange, operation)
            lookup = request.lookup()
        except MeshError as error:
            self._finished(inference.refused(self.mesh, exchange, operation, error))
            raise
        if lookup is None:
            await request.run(exchange.reply)
        else:
            await self.cache.answer(exchange, request.target.pool, lookup, request.run, request.served)

    async def _wait_for_lists(self, exchange: Request, operation: Operation) -> None:
        """What is asked for may be in a first list of models that is still to come, as after a start."""
        until = min(exchange.arrived + _LISTS_AWAITED, exchange.deadline.at)
        while self._expecting and (left := until - clock.now()) > 0 and not self._offers(exchange, operation):
            with contextlib.suppress(TimeoutError), Limit(left):
                await self._news.wait()

    def _offers(self, exchange: Request, operation: Operation) -> bool:
        """Whether there is a model for it, or another error than that there is none."""
        try:
            return any(pool.members for pool in inference.begin(self.mesh, exchange, operation).plan.pools)
        except MeshError as error:
            return not isinstance(error, NotFoundError)

    def expects(self, more: bool) -> None:
        """Whether discovery may find models soon that are not in the table."""
        self._expecting = more
        self._tell_news()

    def _tell_news(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _finished(self, outcome: Outcome) -> None:
        self.requests_total += 1
        self.requests_failed += outcome.status >= 400 and outcome.status != 499
        self.clients.count(outcome)
        self.keeper.moved(outcome)
        self._take_alerts()  # of a refusal
        if not self._outcomes:
            asyncio.get_running_loop().call_later(_GATHER, self.report_outcomes)
        self._outcomes.append(outcome)

    def report_outcomes(self) -> None:
        """Send telemetry the requests that ended. In batches: each message wakes its thread, which then competes for
        the interpreter with the next request."""
        outcomes, self._outcomes = self._outcomes, []
        for outcome in outcomes:
            self.tell("telemetry", outcome)

    def _attempt_failed(self, provider: str, failure: ProviderFailure) -> None:
        if failure.kind is FailureKind.LOCAL:
            self.lacks.note(failure.message, clock.now())
        lost = failure.status == 404 and self.mesh.state.provider(provider).answering == "nothing"
        if failure.kind in _ABOUT_THE_PROVIDER or lost:  # a wrong base_url shows in requests first
            self.tell("health", messages.ProviderFailed(provider, failure.kind, failure.message))

    def _settled(self) -> None:
        """An attempt ended: there is room for waiting requests, and perhaps an allowance is used up."""
        self._take_alerts()
        self.mesh.room.freed()

    def _changed(self, changes: list[Change]) -> None:
        self.keeper.changed(changes)
        if any(change.available for change in changes):
            self.mesh.room.freed()  # requests that wait for it need not wait for the next check

    def _take_alerts(self) -> None:
        alerts = self.mesh.state.accounts.take_alerts()
        if alerts:
            self.keeper.alert(alerts)

    # -- availability ---------------------------------------------------------------------------------

    def every_few_seconds(self) -> None:
        """Save, expire and end what no request would notice."""
        self.look_at_clock(clock.ahead())
        self.save_counters()
        self.keeper.wake()
        self.cache.sweep()

    def look_at_clock(self, ahead: float) -> None:
        """The wall clock may have been set: only calendars follow it. ahead: its lead over ours in seconds."""
        state = self.mesh.state
        if abs(ahead - state.ahead) > _A_STEP:
            moved = ahead - state.ahead
            how = "moved on by %s: it was set, or this machine or meshd slept" if moved > 0 else "was set back by %s"
            level = logging.INFO if abs(moved) >= _WORTH_TELLING else logging.DEBUG
            logger.log(level, f"the wall clock {how}", format_duration(abs(moved)))
            recovery.clock_set(state, ahead)

    def save_counters(self) -> None:
        """Save the counters that changed since the last call, and what waits for a disk."""
        self.journal.retry(time.time())
        self.keeper.save_counters()

    def health(self, report: messages.HealthReport) -> None:
        """The health monitor's report on a provider. Only an answered probe can bring back one that was set aside."""
        now, known = clock.now(), self.mesh.state.provider(report.provider)
        known.score = report.score
        if not report.probed:
            return
        known.last_probe, known.latency = report.at, report.latency
        aside = known.availability
        known.probe_error = report.error if report.refused and known.answering != "serves" else ""
        if report.refused:
            # Only a request can tell more: it rests as after a failure, until it works again.
            if not report.available and not aside.standby:
                reason = f"it does not answer probes: {report.error}"
                recovery.stand_by(aside, reason, recovery.PROBE, RecoveryPolicy(), now)
                change = Change("provider", False, reason, provider=report.provider, until=aside.until)
                self.keeper.changed([change])
            elif report.available and aside.standby and aside.cause == recovery.PROBE:
                self.keeper.changed(failures.record_health(self.mesh.state, report.provider, True, "", now))
            return
        if report.available and not report.answered:
            return
        if report.answered and aside.standby and aside.cause in KEY_REFUSED:
            # A list of models may need no key: a request has to test it. A request refused again tells more than such a
            # list, and the cooldown stays.
            if aside.relapses <= 1 and now < aside.until:
                aside.until = now
                value = states.by_the_wall_clock(states.dump_provider(known), self.mesh.state.ahead)
                self.tell("state", messages.StateChanged("provider", report.provider, value))
            return
        # Pools that wait for an operator hold their own members (`recovery.hold`).
        changes = failures.record_health(self.mesh.state, report.provider, report.available, report.error, now)
        self._changed(changes)
        if report.answered and recovery.probe_answered(self.mesh.state, self.mesh.table, report.provider, now):
            self.mesh.room.freed()
        generation = self.generation
        if generation is not None and any(change.available for change in changes):
            names = generation.secret_names.get(report.provider, ())
            if names and generation.config.secrets.reload_on_rotation:
                self.tell("secret", messages.RefreshSecret(tuple(names), report.provider, "its provider is back"))

    def restore(self, restored: messages.RestoredState) -> None:
        """Take up where an earlier life ended."""
        self.keeper.restore(restored.tables)
        self.admission.interrupt(restored.begun | restored.answered)

    # -- generations ----------------------------------------------------------------------------------

    def objections(self, generation: RunningConfig) -> tuple[str, ...]:
        """Why the generation cannot be used; empty if it can."""
        return self.strategies.objections(generation.table)

    def commit(self, generation: RunningConfig) -> None:
        """The instant from which new requests use another generation; those in flight keep theirs."""
        previous, self.generation, self._settings = self.generation, generation, generation.config.daemon
        before, self.mesh.table = self.mesh.table, generation.table
        self.mesh.apps = AppMatcher(generation.table, generation.matches, self.mesh.apps)
        self.mesh.state.accounts.configure(generation.table.allowances, generation.table.timezone)
        self.mesh.state.rates.configure(generation.table)
        self.strategies.commit(generation.table, self.mesh.pipeline)
        self.providers.replace(generation.providers)
        self.cache.configure(generation.table)
        self.admission.limits = _limits(self._settings)
        for frontend in self.frontends:
            frontend.reloaded()
        self._announce_membership(before, generation.table)
        refused = [id for id, known in self.mesh.state.models.items() if known.refused]
        features.forget_changed(self.mesh.state, before, generation.table)
        if previous is not None:
            self._give_new_chances(previous, generation)
        for id in refused:
            if not self.mesh.state.model(id).refused:
                self.keeper.save_model(id)
        self.mesh.room.freed()
        self._tell_news()

    def _give_new_chances(self, previous: RunningConfig, generation: RunningConfig) -> None:
        """A provider with a new key or address counts as another provider; and one that probes set aside must not wait
        for probes that are switched off."""
        health = generation.config.discovery.health
        for name, settings in generation.providers.items():
            known, former = self.mesh.state.providers.get(name), previous.providers.get(name)
            if known is None or former is None:
                continue
            unprobed = not health.enabled or bool(health.providers and name not in health.providers)
            if former != settings:
                self.cache.clear(name)
                known.answering = ""
            if unprobed:
                known.score = 1.0
            if former != settings or (unprobed and known.availability.cause == recovery.PROBE):
                why = "its configuration changed"
                self.keeper.changed(recovery.new_chance(self.mesh.state, generation.table, name, why, clock.now()))

    def _announce_membership(self, before: RoutingTable, after: RoutingTable) -> None:
        for name, pool in after.pools.items():
            old = set(before.pools[name].members) if name in before.pools else set()
            new = set(pool.members)
            if old != new and before.models:
                self.event(
                    "pool_membership_changed",
                    ids={"pool": name},
                    changed={"added": sorted(new - old), "removed": sorted(old - new)},
                )

    # -- the journal ----------------------------------------------------------------------------------

    def use_segment(self, path: str) -> None:
        """Append to this segment from now on."""
        if path == self.journal_path or not path:
            self.tell("state", messages.JournalRotated(path))
            return
        try:
            fd = open_segment(path)
        except OSError as error:
            logger.warning("cannot open the spend journal %s: %s", path, error)
            return
        finished, self.journal_path = self.journal_path, path
        self.journal.reopen(fd, time.time())
        self.tell("state", messages.JournalRotated(finished))

    def _journal_failed(self, why: str) -> None:
        logger.warning("the spend journal cannot be written, spend is kept in memory: %s", why)

    # -- the end --------------------------------------------------------------------------------------

    async def drain(self, timeout: float) -> int:
        """Accept nothing new and let requests in flight end; how many did not in time."""
        self.admission.draining = True
        for frontend in self.frontends:
            frontend.drain("The daemon is shutting down; ask again in a moment.", timeout)
        return await self.admission.drain(timeout)

    def cut_off(self, crashed: bool) -> None:
        """Read nothing more, and tell apps that their open requests will not be completed."""
        for frontend in self.frontends:
            frontend.stop_receiving()
        self.admission.cut_off(crashed)

    def inherit(self, before: RouterCore) -> None:
        """Carry on where another life crashed."""
        self.started = before.started
        self.requests_total, self.requests_failed = before.requests_total, before.requests_failed
        self._expecting = before._expecting
        self.clients = before.clients
        self.mesh.state = before.mesh.state
        self.mesh.pipeline = Pipeline(self.mesh.state)
        self.mesh.state.nothing_in_flight()
        self.mesh.state.rates.nothing_in_flight()
        self.mesh.state.accounts.nothing_reserved()
        self.server.malformed = before.server.malformed
        self.admission.inherit(before.admission)
        if before.generation is not None:
            self.commit(before.generation)
        self.use_segment(before.journal_path)

    async def close(self) -> None:
        """Close sockets, connections, child processes and the journal."""
        self.report_outcomes()
        self.save_counters()
        self.mesh.room.close()
        for frontend in self.frontends:
            frontend.close()
        await self.providers.close()
        self.journal.close(time.time())

    # -- saying so ------------------------------------------------------------------------------------

    def event(
        self,
        type: str,
        severity: str = "info",
        ids: dict[str, str] | None = None,
        reason: str = "",
        changed: dict[str, Any] | None = None,
    ) -> None:
        self.tell("telemetry", Event(type, time.time_ns(), severity, ids or {}, reason, changed or {}))

    def _strategy_set_aside(self, strategy: str, pool: str, why: str) -> None:
        self.event("strategy_set_aside", "error", {"pool": pool}, why, {"strategy": strategy})

    def _peer_event(self, type: str, reason: str, caller: Peer) -> None:
        if type == "client_connected":
            self.clients.met(caller)
        ids = {"app": caller.app, "pid": str(caller.pid), "user": caller.user}
        self.event(type, "debug", ids, reason)


def _limits(settings: DaemonConfig) -> Limits:
    return Limits(settings.request_timeout, settings.max_message_size, settings.max_inflight)
