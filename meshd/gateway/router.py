"""The router as a plain object: what the actor's thread owns, and what happens to it.

Owns: its parts, and the switch to another running configuration at one instant.
Must never: be touched from another thread, or wait for one while a request does.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from meshd import messages
from meshd.compilation.built_in_strategies import built_in_strategies
from meshd.compilation.made_connectors import hooks_of
from meshd.compilation.running_config import RunningConfig
from meshd.config.schema.observability import TracingConfig
from meshd.config.schema.root import DaemonConfig
from meshd.connectors.registry import ConnectorRegistry
from meshd.core.caller import Caller
from meshd.core.events.answering import ProviderAnswering
from meshd.core.events.event_type import EventType
from meshd.core.sampling import Sampling
from meshd.discovery.settings import HealthSettings, concerns
from meshd.gateway.access.app_identity import AppMatcher
from meshd.gateway.actors import Actors
from meshd.gateway.batches.passed.passing import Passing
from meshd.gateway.batches.runner import Batches
from meshd.gateway.batches.store import TABLE as BATCHES
from meshd.gateway.cache.cache import ResponseCache
from meshd.gateway.configured.connector_pool import ConnectorPool
from meshd.gateway.configured.key_renewal import KeyRenewal
from meshd.gateway.configured.outside_strategies import OutsideStrategies
from meshd.gateway.control import operations
from meshd.gateway.control.dispatcher import Dispatcher
from meshd.gateway.control.watching.gauges import Gauges
from meshd.gateway.files.store import TABLE as FILES
from meshd.gateway.files.store import FileStore
from meshd.gateway.frontends.admission import Admission, Limits, Rights, draining
from meshd.gateway.frontends.exchange import Frontend, Request
from meshd.gateway.frontends.http.server import HttpServer
from meshd.gateway.frontends.inproc import InprocFrontend
from meshd.gateway.frontends.ipc.server import IpcServer
from meshd.gateway.reports.outcomes import Outcomes
from meshd.gateway.reports.state_publisher import StatePublisher
from meshd.gateway.requests.first_lists import FirstLists
from meshd.gateway.responses.keeper import ResponseKeeper
from meshd.gateway.responses.store import TABLE, ResponseStore
from meshd.gateway.runtime import Runtime
from meshd.gateway.serving import Serving
from meshd.gateway.spoken import spoken_at
from meshd.gateway.upkeep import wall_clock
from meshd.gateway.upkeep.announcements import ANNOUNCED, Announcements
from meshd.gateway.upkeep.health_reports import HealthReports
from meshd.gateway.upkeep.model_lists import ModelLists
from meshd.gateway.upkeep.probes import Probes
from meshd.gateway.upkeep.shared_budgets import SharedBudgets
from meshd.gateway.upkeep.spend_segments import SpendSegments, not_written
from meshd.gateway.waiting_room import WaitingRoom
from meshd.host import clock
from meshd.routing.attempts.counters import Counters
from meshd.routing.attempts.local_counters import LocalCounters
from meshd.routing.availability import interventions, recovery
from meshd.routing.availability.state import MeshState
from meshd.routing.decision import features
from meshd.routing.decision.pipeline import Pipeline
from meshd.routing.rates.app_limits import left_of
from meshd.routing.table.specs import RoutingTable
from meshd.sdk.provider import RateLimits
from meshd.spend.journal import JournalWriter
from meshd.spend.journal_sync import JournalSync
from modelmesh.errors import RequestCancelledError

logger = logging.getLogger("meshd.router")

COUNTERS_EVERY = 5.0  # s between two saves of counters that changed
_MOST_NAMED = 5  # models in the text of an event


class Router:
    """before: an earlier run, which crashed; this one continues its work. counters: makes them for the state."""

    def __init__(
        self,
        registry: ConnectorRegistry,
        actors: Actors,
        before: Router | None = None,
        counters: Callable[[MeshState], Counters] = LocalCounters,
    ) -> None:
        self._actors = actors
        self._settings = DaemonConfig()  # of the running configuration
        self.started: float = clock.now() if before is None else before.started
        state = MeshState() if before is None else before.runtime.state
        room = WaitingRoom(
            max_queue=lambda: self._settings.max_queue,
            queue_timeout=lambda: self._settings.queue_timeout,
        )
        connectors = ConnectorPool(registry)
        strategies = built_in_strategies()
        publisher = StatePublisher(actors.tell, state, room)
        ledger = JournalWriter(-1, not_written)
        runtime = Runtime(
            state,
            Pipeline(state, strategies),
            counters(state),
            connectors,
            ledger,
            JournalSync(ledger),
            room,
            publisher,
            Outcomes(actors.tell, state, publisher),
            KeyRenewal(actors, connectors),
        )
        self.runtime: Runtime = runtime
        if before is not None:
            runtime.secrets = before.runtime.secrets
        self.strategies = OutsideStrategies(strategies, self._strategy_set_aside)
        self.segments = SpendSegments(ledger, runtime.sync, actors.tell)
        self.shared_budgets = SharedBudgets(runtime, actors.tell)
        self.probes = Probes(runtime, actors.tell)
        self.announcements = Announcements(runtime, actors.tell)
        if before is not None:
            self.announcements.known = before.announcements.known
        self.model_lists = ModelLists(runtime, actors.tell, self.announcements)
        self.health_reports = HealthReports(runtime, actors.tell)
        self.cache = ResponseCache(actors.spawn)
        self._reader = ThreadPoolExecutor(1, "meshd-reader")  # of long bodies
        self._worker = ThreadPoolExecutor(2, "meshd-files")
        spoken = spoken_at()
        self.admission = Admission(self._begin, frozenset(spoken), _limits(self._settings), self._rights)
        self.responses = ResponseKeeper(runtime, self.admission, ResponseStore(actors.tell), self._reader)
        self.first_lists: FirstLists = FirstLists(before is not None and before.first_lists.expected)
        self.serving = Serving(runtime, spoken, self.responses, self.cache, self._reader, self.first_lists)
        self.dispatcher = Dispatcher({path: each.format_name for path, each in spoken.items()}, self.serving.infer)
        self.files = FileStore(actors, self._worker)
        passing = Passing(runtime, spoken, lambda: self.serving.hooks is not None)
        self.batches = Batches(actors, self.admission, self.files, spoken, passing)
        self.server = IpcServer(self.admission, on_event=self._peer_event)
        self.http = HttpServer(self.admission, self.dispatcher, self._limits_of)
        self.inproc = InprocFrontend(self.admission)
        self._frontends: tuple[Frontend, ...] = (self.server, self.http, self.inproc)
        self.gauges = Gauges(runtime, self.admission, self.server.connections)
        operations.add_all(
            self.dispatcher,
            runtime,
            actors,
            self.admission,
            self.server,
            self.http,
            self.cache,
            self.serving.infer,
            self._reader,
            self.responses,
            self.files,
            self.batches,
            self.gauges,
            started=self.started,
            drain=self.drain,
        )
        if before is not None:
            self._inherit(before)

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to take requests, from where the front ends are told to listen."""
        self.runtime.ledger.later = loop.call_soon
        self.admission.open(loop)
        for frontend in self._frontends:
            frontend.open(loop)

    def _inherit(self, before: Router) -> None:
        state = self.runtime.state
        state.nothing_in_flight()
        state.rates.nothing_in_flight()
        state.accounts.nothing_reserved()
        self.runtime.outcomes.inherit(before.runtime.outcomes)
        self.server.malformed = before.server.malformed
        self.admission.inherit(before.admission)
        self.responses.inherit(before.responses)
        self.files.inherit(before.files)
        self.batches.inherit(before.batches)
        if before.runtime.config is not None:
            self.commit(before.runtime.config)
        self.segments.use(before.segments.path)

    # -- requests -------------------------------------------------------------------------------------

    def _begin(self, request: Request) -> None:
        wall_clock.follow(self.runtime.state, request.arrived_at - request.arrived)

        def ended(task: asyncio.Task[None]) -> None:
            # Its exception's frames hold the request: to free many of these, the loop would stop.
            request.task = None
            if task.cancelled():  # perhaps before it began
                request.reply.error(RequestCancelledError("The request was cancelled."))

        request.task = self._actors.spawn(self.dispatcher.run(request))
        request.task.add_done_callback(ended)

    def _rights(self, caller: Caller) -> Rights:
        return self.runtime.apps.rights(caller, self._settings.max_message_size)

    def _limits_of(self, caller: Caller) -> RateLimits | None:
        """What is left of the limits of the caller's app."""
        identity = self.runtime.apps.identify(caller)
        return left_of(self.runtime.state.rates, identity.account, identity.spec.rate, clock.now())

    def _peer_event(self, type: EventType, reason: str, caller: Caller) -> None:
        identity = self.runtime.apps.identify(caller)
        if type == EventType.CLIENT_CONNECTED:
            self.runtime.outcomes.clients.met(caller, identity.label)
        ids = {"app": caller.app, "pid": str(caller.pid), "user": caller.user}
        owner = caller.uid, identity.account
        self.runtime.publisher.event(type, "debug", ids, reason, owner=owner)

    def _strategy_set_aside(self, strategy: str, pool: str, why: str) -> None:
        self.runtime.publisher.event(EventType.STRATEGY_SET_ASIDE, "error", {"pool": pool}, why, {"strategy": strategy})

    # -- state ----------------------------------------------------------------------------------------

    def restore(self, restored: messages.RestoredState) -> None:
        """Continue where an earlier run ended."""
        self.runtime.publisher.restore(restored)
        self.responses.restore(restored.tables.get(TABLE, {}))
        self.files.restore(restored.tables.get(FILES, {}), restored.directory)
        sent = restored.begun | restored.answered
        self.batches.restore(restored.tables.get(BATCHES, {}), sent, unread=bool(restored.unread))
        self.admission.interrupt(sent)
        self.announcements.restore(restored.tables.get(ANNOUNCED, {}), late=restored.late)

    def every_few_seconds(self) -> None:
        """Save counters, and drop what has expired, outside of any request."""
        wall_clock.follow(self.runtime.state, clock.ahead())
        self.save_counters()
        self.runtime.publisher.wake()
        self.cache.sweep()
        self.responses.store.sweep()
        self.files.sweep()
        self.batches.store.sweep()
        self.announcements.look()

    def save_counters(self) -> None:
        """Save the counters that changed since the last call, and what waits for a disk."""
        self.runtime.ledger.retry(time.time())
        self.runtime.publisher.save_counters()

    # -- the running configuration --------------------------------------------------------------------

    def objections(self, generation: RunningConfig) -> tuple[str, ...]:
        """Why the generation cannot be used; empty if it can."""
        config = generation.config
        of_frontends = [why for frontend in self._frontends for why in frontend.objections(config)]
        return (*self.strategies.objections(generation.table), *map(str, hooks_of(config)[1]), *of_frontends)

    def commit(self, generation: RunningConfig) -> None:
        """The instant from which new requests use another generation; those in flight keep theirs."""
        runtime, state = self.runtime, self.runtime.state
        previous, runtime.config, self._settings = runtime.config, generation, generation.config.daemon
        storage = generation.config.storage
        runtime.sync.enabled = storage.durability == "power"
        self.shared_budgets.configure(bool(storage.settings.get("shared")))
        before, runtime.table = runtime.table, generation.table
        self.strategies.commit(generation.table, runtime.pipeline)
        self.serving.commit(generation)
        runtime.sampling = _sampling(generation.config.observability.tracing)
        runtime.apps = AppMatcher(generation.table, generation.matches, runtime.apps)
        state.accounts.configure(generation.table.allowances, generation.table.timezone)
        state.rates.configure(generation.table)
        runtime.connectors.replace(generation.providers)
        runtime.keys.configure(_renewable(generation))
        runtime.publisher.configure(generation.table)
        self.cache.configure(generation.table)
        self.responses.configure(generation.config.responses)
        self.files.configure(generation.config.files)
        self.admission.use(_limits(self._settings))
        for frontend in self._frontends:
            frontend.use(generation.config)
        self._announce_membership(before, generation.table)
        self.announcements.committed()
        refused = [id for id, known in state.models.items() if known.refused]
        features.forget_changed(state, before, generation.table)
        if previous is not None:
            self._give_new_chances(previous, generation)
        for id in refused:
            if not state.model(id).refused:
                runtime.publisher.save_model(id)
        runtime.room.freed()
        self.first_lists.came()
        self.batches.configure(generation.config.batches)

    def _give_new_chances(self, previous: RunningConfig, generation: RunningConfig) -> None:
        """A provider with a new key or address counts as another provider; and one that probes set aside must not wait
        for probes that are switched off."""
        health = HealthSettings.of(generation.config.discovery.health)
        for name, settings in generation.providers.items():
            known, former = self.runtime.state.providers.get(name), previous.providers.get(name)
            if known is None or former is None:
                continue
            unprobed = not concerns(health, name)
            if former != settings:
                self.cache.clear(name)
                known.answering = ProviderAnswering.UNKNOWN
            if unprobed:
                known.score = 1.0
            if former != settings or (unprobed and recovery.set_aside_by_probe(known.availability)):
                self.runtime.publisher.changed(
                    interventions.new_chance(self.runtime.state, generation.table, name, clock.now())
                )

    def _announce_membership(self, before: RoutingTable, after: RoutingTable) -> None:
        for name, pool in after.pools.items():
            old = set(before.pools[name].members) if name in before.pools else set()
            new = set(pool.members)
            if old != new and before.models:
                changed = {"added": sorted(new - old), "removed": sorted(old - new)}
                reason = "; ".join(f"{what} {_named(models)}" for what, models in changed.items() if models)
                self.runtime.publisher.event(
                    EventType.POOL_MEMBERSHIP_CHANGED, ids={"pool": name}, reason=reason, changed=changed
                )

    # -- the end --------------------------------------------------------------------------------------

    async def drain(self, timeout: float) -> int:
        """Accept nothing new and let requests in flight end. Returns how many did not end in time."""
        self.admission.draining = True
        for frontend in self._frontends:
            frontend.drain(draining().message, timeout)
        return await self.admission.drain(timeout)

    def cut_off(self, crashed: bool) -> None:
        """Read nothing more, and tell apps that their open requests will not be completed."""
        for frontend in self._frontends:
            frontend.stop_receiving()
        self.admission.cut_off(crashed)

    async def close(self) -> None:
        """Close sockets, connections, child processes and the journal."""
        self.runtime.outcomes.flush()
        self.save_counters()
        self.runtime.room.close()
        for frontend in self._frontends:
            frontend.close()
        self.admission.close()
        self._reader.shutdown(wait=False, cancel_futures=True)
        self._worker.shutdown(wait=False, cancel_futures=True)
        await self.runtime.connectors.close()
        self.shared_budgets.close()
        self.runtime.sync.close()
        self.runtime.ledger.close(time.time())


def _named(models: list[str]) -> str:
    more = len(models) - _MOST_NAMED
    return ", ".join(models[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _sampling(config: TracingConfig) -> Sampling:
    on, ratio = bool(config.connector or config.propagate), config.sample_ratio if config.connector else 0.0
    return Sampling(on, ratio, config.follow_parent, frozenset(config.propagate))


def _limits(settings: DaemonConfig) -> Limits:
    return Limits(settings.request_timeout, settings.max_message_size, settings.max_inflight)


def _renewable(generation: RunningConfig) -> dict[str, tuple[str, ...]]:
    """Provider → the names of its secrets, if a refused key may have been replaced at its source."""
    configured = generation.config.providers
    return {
        name: names
        for name, names in generation.secret_names.items()
        if name in configured and configured[name].auth.key_rotation
    }
