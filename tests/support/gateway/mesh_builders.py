"""A router's core without a socket, a provider or another actor: what operations read and register with."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from meshd import messages
from meshd.core.caller import Caller, Peer
from meshd.gateway.app_identity import AppMatcher
from meshd.gateway.cache.cache import ResponseCache
from meshd.gateway.control.dispatcher import Call, Dispatcher
from meshd.gateway.control.operations import Operations
from meshd.gateway.frontends.admission import Admission, Limits
from meshd.routing.availability.state import MeshState
from meshd.routing.decision.pipeline import Pipeline
from meshd.routing.table.access import AppMatch
from meshd.routing.table.capabilities import CapabilityTree
from meshd.routing.table.specs import Allowance, AppSpec, ModelSpec, PoolSpec, Pricing, ProviderSpec, RoutingTable

CHAT = "generation.text-generation.chat-completion"
OWN = 500
ROOT = Peer(uid=0, name="meshctl")
MAIL = Peer(uid=1000, name="mail", exe="/usr/bin/mail")
VIM = Peer(uid=1000, name="vim", exe="/usr/bin/vim")
PRICES = Pricing(input_per_1m=1_000_000_000, output_per_1m=2_000_000_000)  # $1, $2


def model(id: str, **given: Any) -> ModelSpec:
    given.setdefault("pricing", PRICES)
    given.setdefault("max_output_tokens", 1000)
    return ModelSpec(id, id.partition(".")[0], id.partition(".")[2], (CHAT,), features={}, **given)


class Queue:
    def __init__(self, **waiting: int) -> None:
        self._waiting = waiting

    def __len__(self) -> int:
        return sum(self._waiting.values())

    def waiting(self) -> dict[str, int]:
        return self._waiting


class Core:
    """`asks` answers what other actors are asked: message class → rows, or a function of the message."""

    def __init__(
        self,
        *,
        pools: tuple[PoolSpec, ...] | None = None,
        apps: tuple[AppSpec, ...] = (),
        allowances: tuple[Allowance, ...] = (),
        models: tuple[ModelSpec, ...] | None = None,
        providers: tuple[ProviderSpec, ...] | None = None,
        waiting: dict[str, int] | None = None,
    ) -> None:
        models = models or (model("a.one"), model("b.two"), model("b.three"))
        given = pools or (PoolSpec("chat", CHAT, ("a.one", "b.two")), PoolSpec("other", "", ("b.three",)))
        names = sorted({each.provider for each in models})
        specs = providers or tuple(ProviderSpec(name, "modelmesh.scripted.v1") for name in names)
        table = RoutingTable(CapabilityTree.default(), models, specs, given, apps, allowances, "UTC")
        matches = (AppMatch("mail", exe="/usr/bin/mail"),) if any(app.name == "mail" for app in apps) else ()
        self.dispatcher = Dispatcher(frozenset(), lambda exchange: None)  # type: ignore[arg-type, return-value]
        state = MeshState()
        self.mesh = SimpleNamespace(
            table=table,
            state=state,
            pipeline=Pipeline(state),
            apps=AppMatcher(table, matches, own_uid=OWN),
            room=SimpleNamespace(queue=Queue(**(waiting or {})), freed=lambda: None),
        )
        self.mesh.state.accounts.configure(table.allowances, "UTC")
        self.server = SimpleNamespace(
            connections=SimpleNamespace(known={}), listeners=SimpleNamespace(addresses=[]), instance="i", malformed=0
        )
        self.admission = Admission(lambda request: None, ("/v1/chat/completions",), Limits(60.0, 1024**2, 8))
        self.providers = SimpleNamespace(
            settings=lambda name: None, described=lambda name: {}, shown=lambda name, told: told
        )
        self.generation: Any = None
        self.asks: dict[type, Any] = {messages.QueryStatistics: []}
        self.asked: list[Any] = []
        self.cache = ResponseCache()
        self.cache.configure(table)
        Operations(self)  # type: ignore[arg-type]

    async def ask(self, actor: str, message: Any, timeout: float) -> Any:
        self.asked.append(message)
        answer = self.asks[type(message)]
        return answer(message) if callable(answer) else answer

    def report_outcomes(self) -> None:
        pass

    async def get(self, path: str, caller: Caller = ROOT, **query: str) -> Any:
        return await self.dispatcher.call("GET", path, Call(caller, query=query))

    async def post(self, path: str, caller: Caller = ROOT, /, **body: Any) -> Any:
        return await self.dispatcher.call("POST", path, Call(caller, body))

    async def explain(self, caller: Caller = ROOT, /, **body: Any) -> Any:
        body = {"model": "chat", "messages": [{"role": "user", "content": "Hello"}], **body}
        return await self.post("/mesh/v1/explain", caller, **body)
