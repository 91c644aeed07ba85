"""A gateway of one provider, "p", whose answers a test of probes and lists chooses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from meshd import messages
from meshd.core.events.records import Event
from meshd.core.prices import Pricing
from meshd.gateway.upkeep.token_probe import ask_one_token
from meshd.routing.table.specs import Allowance, ModelSpec, PoolSpec, ProviderSpec
from meshd.sdk.provider import (
    FailureKind,
    ModelListing,
    Provider,
    ProviderAnswer,
    ProviderCall,
    ProviderFailure,
    ProviderSettings,
    QuotaStatus,
    StreamEvent,
    Usage,
)
from meshd.spend.journal import JournalWriter
from tests.support.gateway.builder import CHAT, SCRIPTED, Gateway

PRICES = Pricing(input_per_1m=1_000_000, output_per_1m=2_000_000)
OK = ProviderAnswer(b'{"choices": []}', Usage(7, 1))
COST = 9
SERVER = ProviderFailure(FailureKind.SERVER, "overloaded", status=500)
REFUSED = ProviderFailure(FailureKind.AUTHENTICATION, "bad key", status=401)


class FakeProvider(Provider):
    """answer, listed, left, details: returned or raised. then: what an answer waits for."""

    def __init__(self) -> None:
        super().__init__(ProviderSettings("p", SCRIPTED))
        self.answer: Any = OK
        self.listed: Any = 0.0
        self.left: Any = None
        self.details: dict[str, Any] = {}
        self.calls: list[ProviderCall] = []
        self.lists = 0
        self.under_way = self.most = 0
        self.then: asyncio.Event | None = None

    async def execute(self, call: ProviderCall) -> ProviderAnswer:
        self.calls.append(call)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await (self.then.wait() if self.then is not None else asyncio.sleep(0))
        finally:
            self.under_way -= 1
        answer: ProviderAnswer = given(self.answer)
        return answer

    def stream(self, call: ProviderCall) -> AsyncIterator[StreamEvent]:
        raise NotImplementedError

    async def probe(self, timeout: float) -> float:
        self.lists += 1
        latency: float = given(self.listed)
        return latency

    async def list_models(self) -> list[ModelListing]:
        found: list[ModelListing] = given(self.listed)
        return found

    async def model_details(self, model: str) -> ModelListing | None:
        found = self.details.get(model)
        if found == "silence":
            await asyncio.Event().wait()
        details: ModelListing | None = given(found)
        return details

    async def quota(self) -> QuotaStatus | None:
        left: QuotaStatus | None = given(self.left)
        return left


def given(value: Any) -> Any:
    if isinstance(value, BaseException):
        raise value
    return value


class Journal(JournalWriter):
    """begun, settled: what was written, without the request's id and the time."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[tuple[Any, ...]] = []
        self.settled: list[tuple[Any, ...]] = []

    def begin(self, request: bytes, at: float, *rest: Any, units: Mapping[str, int] | None = None) -> None:
        self.begun.append((*rest, units) if units else rest)

    def settle(self, request: bytes, at: float, *rest: Any, units: Mapping[str, int] | None = None) -> None:
        self.settled.append((*rest, units) if units else rest)


class Probed(Gateway):
    """One pool, "chat", of all the models. pool: its further settings."""

    def __init__(
        self,
        *models: ModelSpec,
        allowances: tuple[Allowance, ...] = (),
        provider: ProviderSpec | None = None,
        config: Mapping[str, Any] | None = None,
        **pool: Any,
    ) -> None:
        specs = models or (model("a"),)
        self.pool = PoolSpec("chat", CHAT, tuple(each.id for each in specs), **pool)
        self.provider = FakeProvider()
        self.journal = Journal()
        super().__init__(
            models=specs,
            pools=[self.pool],
            providers=[provider or ProviderSpec("p", SCRIPTED)],
            allowances=allowances,
            connect=lambda settings: self.provider,
            config=config,
        )
        self.runtime.ledger = self.journal

    @property
    def changes(self) -> list[Event]:
        """The events of availability."""
        return [event for event in self.told_of(Event) if event.type.endswith(("activated", "recovered"))]

    @property
    def blamed(self) -> list[str]:
        """What the health monitor was told of failures."""
        return [failed.kind for failed in self.told_of(messages.ProviderFailed)]

    def spent(self) -> tuple[int, int]:
        """(cost, reserved) of the provider's day."""
        row = next(row for row in self.runtime.state.accounts.standing(time.time()) if row["scope"] == "provider")
        return row["spent"], row["reserved"]

    def member(self, id: str = "p.a") -> Any:
        return self.runtime.state.member("chat", id).availability

    async def ask(self, id: str = "p.a", timeout: float = 5.0) -> None:
        await ask_one_token(self.runtime, self.pool, self.runtime.table.models[id], timeout)

    async def probe(self, message: messages.Probe) -> messages.Probed:
        await self.router.probes.provider(message)
        probed: messages.Probed = self.told_of(messages.Probed)[-1]
        return probed

    async def probe_models(self, **given: Any) -> None:
        await self.router.probes.models(messages.ProbeModels("chat", 5.0, **given))

    async def listed(self, details: bool = True, timeout: float = 5.0) -> messages.ModelsListed:
        await self.router.model_lists.models(messages.ListModels("p", timeout, details))
        found: messages.ModelsListed = self.told_of(messages.ModelsListed)[-1]
        return found


async def until_asked(made: Probed) -> None:
    for _ in range(20):
        if made.provider.calls:
            return
        await asyncio.sleep(0)
    raise AssertionError("it was not asked")


def model(name: str, *capabilities: str, **given: Any) -> ModelSpec:
    return ModelSpec(f"p.{name}", "p", name, capabilities or (CHAT,), pricing=PRICES, **given)


def budget(limit: int) -> Allowance:
    return Allowance("provider", "p", "cost", "day", limit)
