"""A real router without a socket: its providers are the test's own, and so are the other actors.

Takes tables as the compilation makes them, so that a test says only what it is about.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

from meshd import messages
from meshd.compilation.running_config import RunningConfig
from meshd.config import MeshConfig
from meshd.connectors.registry import ConnectorRegistry
from meshd.core.caller import Caller, Peer
from meshd.core.events.records import Event, Outcome
from meshd.core.needs import RequestNeeds
from meshd.core.prices import Pricing
from meshd.gateway.actors import Actors
from meshd.gateway.router import Router
from meshd.host import clock
from meshd.operations import chat
from meshd.routing.attempts.counters import Counters
from meshd.routing.attempts.fair_queue import Waiter
from meshd.routing.attempts.local_counters import LocalCounters
from meshd.routing.availability.state import MeshState
from meshd.routing.request.question import Question, Requester
from meshd.routing.table.access import AppMatch
from meshd.routing.table.capabilities import CapabilityTree
from meshd.routing.table.specs import Allowance, AppSpec, ModelSpec, PoolSpec, ProviderSpec, RoutingTable
from meshd.sdk.provider import Provider, ProviderSettings
from tests.support.gateway.asked import Asked, answer_of
from tests.support.gateway.silent import Silent

CHAT = "generation.text-generation.chat-completion"
SCRIPTED = "tests.scripted.v1"
OWN = os.getuid()
ROOT = Peer(uid=0, name="meshctl")
MAIL = Peer(uid=1000, name="mail", exe="/usr/bin/mail")
VIM = Peer(uid=1000, name="vim", exe="/usr/bin/vim")
PRICES = Pricing(input_per_1m=1_000_000_000, output_per_1m=2_000_000_000)  # $1, $2


def model(id: str, **given: Any) -> ModelSpec:
    given.setdefault("pricing", PRICES)
    given.setdefault("max_output_tokens", 1000)
    return ModelSpec(id, id.partition(".")[0], id.partition(".")[2], (CHAT,), features={}, **given)


class Gateway:
    """connect: makes a provider's connector. asks: what other actors answer, by the message's class: the answer, or a
    function of the message. told, asked: what they were told and asked. never_told: classes of messages that cannot be
    told, because of a fault."""

    def __init__(
        self,
        *,
        models: Iterable[ModelSpec] | None = None,
        pools: Iterable[PoolSpec] | None = None,
        providers: Iterable[ProviderSpec] | None = None,
        apps: Iterable[AppSpec] = (),
        allowances: Iterable[Allowance] = (),
        connect: Callable[[ProviderSettings], Provider] | None = None,
        config: Mapping[str, Any] | None = None,
        secret_names: Mapping[str, tuple[str, ...]] | None = None,
        waiting: Mapping[str, int] | None = None,
        counters: Callable[[MeshState], Counters] = LocalCounters,
    ) -> None:
        self.told: list[tuple[str, Any]] = []
        self.never_told: tuple[type, ...] = ()
        self.asked: list[Any] = []
        self.asks: dict[type, Any] = {messages.QueryStatistics: []}
        self._registry = ConnectorRegistry(builtin=False, outside=False)
        if connect is not None:
            self.connect(connect)
        actors = Actors(self._tell, self._ask, asyncio.ensure_future)
        self.router = Router(self._registry, actors, counters=counters)
        self.runtime = self.router.runtime
        self._apps, self._allowances = tuple(apps), tuple(allowances)
        self._secret_names = secret_names or {}
        models = tuple(models or (model("a.one"), model("b.two"), model("b.three")))
        self.use(
            models,
            pools or (PoolSpec("chat", CHAT, ("a.one", "b.two")), PoolSpec("other", "", ("b.three",))),
            providers or (ProviderSpec(name, SCRIPTED) for name in sorted({each.provider for each in models})),
            config,
        )
        for app, requests in (waiting or {}).items():
            for number in range(requests):
                self.runtime.room.queue.add(Waiter(app, str(number), lambda: False))

    def connect(self, connect: Callable[[ProviderSettings], Provider]) -> None:
        """Make connectors that way, before the first is needed."""

        class Connector:
            def __new__(cls, settings: ProviderSettings) -> Any:
                return connect(settings)

        self._registry.register(SCRIPTED, Connector, type="provider")

    def use(
        self,
        models: Iterable[ModelSpec],
        pools: Iterable[PoolSpec],
        providers: Iterable[ProviderSpec],
        config: Mapping[str, Any] | None = None,
    ) -> None:
        """Commit a configuration, as a reload does."""
        specs = tuple(providers)
        table = RoutingTable(CapabilityTree.default(), models, specs, pools, self._apps, self._allowances, "UTC")
        written = MeshConfig(config or {})
        number = 1 if self.runtime.config is None else self.runtime.config.number + 1
        settings = {spec.name: ProviderSettings(spec.name, SCRIPTED) for spec in specs}
        matches = (AppMatch("mail", exe="/usr/bin/mail"),) if any(app.name == "mail" for app in self._apps) else ()
        self.router.commit(RunningConfig(number, written, written, table, settings, matches, self._secret_names))

    # -- other actors ---------------------------------------------------------------------------------

    def _tell(self, actor: str, message: Any) -> None:
        if isinstance(message, self.never_told):
            raise KeyError(type(message).__name__)
        self.told.append((actor, message))

    async def _ask(self, actor: str, message: Any, timeout: float) -> Any:
        self.asked.append(message)
        answer = self.asks[type(message)]
        return answer(message) if callable(answer) else answer

    def told_of(self, kind: type) -> list[Any]:
        """The messages of that class which other actors were told."""
        return [message for _, message in self.told if isinstance(message, kind)]

    @property
    def events(self) -> list[str]:
        return [event.type for event in self.told_of(Event)]

    @property
    def outcomes(self) -> list[Outcome]:
        """Of the requests that ended."""
        self.runtime.outcomes.flush()
        return [outcome for message in self.told_of(messages.RequestsEnded) for outcome in message.outcomes]

    # -- clients --------------------------------------------------------------------------------------

    def connects(self, caller: Peer) -> None:
        self.router.server.connections.add(Silent(caller))

    def has_in_flight(self, caller: Peer, path: str) -> None:
        in_flight = self.router.admission.in_flight
        key = len(in_flight).to_bytes(16, "big")
        in_flight[key] = Asked(path=path, caller=caller, request_id=key)

    def takes_place(self, id: str, pool: str = "chat") -> None:
        """A request is sent to this model, and has not ended."""
        table = self.runtime.table
        question = Question(table, table.pools[pool], RequestNeeds(chat.CHAT), clock.now(), Requester())
        spec = table.models[id]
        self.runtime.state.rates.enter(question, spec, question.estimate(spec))

    async def get(self, path: str, caller: Caller = ROOT, **query: str) -> Any:
        asked = f"{path}?{urlencode(query)}" if query else path
        return await answer_of(self.router.dispatcher, "GET", asked, caller=caller)

    async def post(self, path: str, caller: Caller = ROOT, /, **body: Any) -> Any:
        return await answer_of(self.router.dispatcher, "POST", path, json.dumps(body).encode(), caller=caller)

    async def explain(self, caller: Caller = ROOT, /, **body: Any) -> Any:
        body = {"model": "chat", "messages": [{"role": "user", "content": "Hello"}], **body}
        return await self.post("/mesh/v1/explain", caller, **body)
