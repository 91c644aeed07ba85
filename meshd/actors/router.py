"""The router actor: the thread, the loop and the messages around a `Router`.

Owns: the `Router`, and what each message makes it do.
Must never: wait for another actor during a request.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, ClassVar

from meshd import messages
from meshd.actors.base.loop import LoopActor
from meshd.actors.prepare import Prepare
from meshd.compilation.running_config import RunningConfig
from meshd.connectors.registry import ConnectorRegistry
from meshd.core.messaging.mailboxes import Directory
from meshd.gateway.actors import Actors
from meshd.gateway.router import COUNTERS_EVERY, Router
from meshd.host import clock
from meshd.spend.ledger import usage_rows

logger = logging.getLogger("meshd.router")

_COUNTERS = "counters"


class RouterActor(LoopActor):
    name: ClassVar[str] = "router"
    handlers: ClassVar[dict[type, str]] = {
        messages.Listen: "listen",
        messages.ListenHttp: "listen_http",
        messages.RestoreState: "restore",
        Prepare: "prepare",
        messages.Commit: "commit",
        messages.Discard: "discard",
        messages.HealthReport: "health",
        messages.SecretStandings: "secret_standings",
        messages.Probe: "probe",
        messages.ProbeModels: "probe_models",
        messages.ListModels: "list_models",
        messages.Expecting: "expecting",
        messages.RotateJournal: "rotate_journal",
        messages.BudgetGrants: "budget_grants",
        messages.SpentElsewhere: "spent_elsewhere",
        messages.RouterCommand: "command",
        messages.Drain: "drain",
        messages.SaveCounters: "save_counters",
        messages.ReadGauges: "read_gauges",
        messages.Tick: "ticked",
    }

    def __init__(self, directory: Directory, registry: ConnectorRegistry) -> None:
        super().__init__(directory)
        self._registry = registry
        self._listening: list[messages.Listen] = []
        self._http: messages.ListenHttp | None = None
        self._draining: asyncio.Future[int] | None = None
        self._prepared: dict[int, RunningConfig] = {}
        self._inherited: Router | None = None
        self._opening: Router | None = None
        self._router: Router | None = None

    # -- life -----------------------------------------------------------------------------------------

    @property
    def router(self) -> Router:
        assert self._router is not None, "the loop runs"
        return self._router

    async def opened(self) -> None:
        router = self._opening = Router(self._registry, Actors(self.tell, self.ask_later, self.spawn), self._inherited)
        router.open(self.loop)
        for place in self._listening:
            _bind(router, place)
        if self._http is not None:
            router.http.listen(self._http)
        self.tick(_COUNTERS, COUNTERS_EVERY)
        # Only a life that has taken over completely can be inherited from.
        self._router, self._inherited = router, None

    async def closing(self, crashed: bool) -> None:
        if self._router is not None:
            self._router.cut_off(crashed)

    async def closed(self) -> None:
        if self._opening is not None:
            await self._opening.close()

    def legacy(self) -> Any:
        return self._listening, self._http, self._prepared, self._router or self._inherited

    def inherit(self, legacy: Any) -> None:
        self._listening, self._http, self._prepared, self._inherited = legacy

    # -- boot -----------------------------------------------------------------------------------------

    def listen(self, message: messages.Listen) -> None:
        _bind(self.router, message)
        self._listening.append(message)

    def listen_http(self, message: messages.ListenHttp) -> None:
        self.router.http.listen(message)
        self._http = message

    def restore(self, message: messages.RestoreState) -> None:
        """Adopt the saved state and the journal's segment."""
        self.router.restore(message.restored)
        if self.router.runtime.config is None:  # at the start; otherwise this is an import
            self.router.first_lists.expect(True)  # until discovery has the first generation and reports otherwise
        if message.journal:
            self.router.segments.use(message.journal)

    # -- reload ---------------------------------------------------------------------------------------

    def prepare(self, message: Prepare) -> tuple[str, ...]:
        self._prepared[message.running.number] = message.running
        return self.router.objections(message.running)

    def commit(self, message: messages.Commit) -> None:
        prepared = self._prepared.get(message.number)
        if prepared is None:
            logger.error(
                "generation %d was committed without being prepared; the previous one keeps running", message.number
            )
            return
        for number in [number for number in self._prepared if number <= message.number]:
            del self._prepared[number]
        self.router.commit(prepared)

    def discard(self, message: messages.Discard) -> None:
        self._prepared.pop(message.number, None)

    # -- others ---------------------------------------------------------------------------------------

    def health(self, message: messages.HealthReport) -> None:
        self.router.health_reports.take(message)

    def secret_standings(self, message: messages.SecretStandings) -> None:
        self.router.runtime.secrets = message

    def probe(self, message: messages.Probe) -> None:
        self.spawn(self.router.probes.provider(message))

    def probe_models(self, message: messages.ProbeModels) -> None:
        self.spawn(self.router.probes.models(message))

    def list_models(self, message: messages.ListModels) -> None:
        self.spawn(self.router.model_lists.models(message))

    def expecting(self, message: messages.Expecting) -> None:
        self.router.first_lists.expect(message.more)

    def rotate_journal(self, message: messages.RotateJournal) -> None:
        self.router.segments.use(message.path)

    def budget_grants(self, message: messages.BudgetGrants) -> None:
        self.router.shared_budgets.answered(message)

    def spent_elsewhere(self, message: messages.SpentElsewhere) -> None:
        self.router.runtime.state.accounts.add(usage_rows(message.rows), clock.now())

    async def command(self, message: messages.RouterCommand) -> Any:
        return await self.router.inproc.ask(message.method, message.path, message.body, message.query)

    async def drain(self, message: messages.Drain) -> int:
        """A later command replaces an earlier one: Drain(0) ends it at once."""
        work = asyncio.ensure_future(self.router.drain(message.timeout))
        earlier, self._draining = self._draining, work
        if earlier is not None:
            earlier.cancel()
        while True:
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                if self._draining is None or self._draining is work or not work.cancelled():
                    work.cancel()
                    raise
                work = self._draining

    async def read_gauges(self, message: messages.ReadGauges) -> Any:
        return await self.router.gauges.read()

    def save_counters(self, message: messages.SaveCounters) -> None:
        self.router.save_counters()

    def ticked(self, message: messages.Tick) -> None:
        self.router.every_few_seconds()
        self.tick(_COUNTERS, COUNTERS_EVERY)


def _bind(router: Router, place: messages.Listen) -> None:
    router.server.bind(place.address, place.fd, mode=place.mode, gid=place.gid)
