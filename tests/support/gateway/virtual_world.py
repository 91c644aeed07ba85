"""The gateway's own requests, waits and attempts, and providers that are up, down or flaky, in virtual time.

Minutes of traffic take milliseconds: the loop's clock jumps to whatever is due next.
"""

from __future__ import annotations

import asyncio
import json
import selectors
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from meshd.formats.openai.format import OPENAI
from meshd.gateway.requests import arrival
from meshd.gateway.spoken import Spoken
from meshd.host import clock
from meshd.operations import chat
from meshd.routing.table.specs import NO_RATES, ModelSpec, PoolSpec, ProviderSpec, RateSpec
from meshd.sdk.provider import (
    FailureKind,
    Provider,
    ProviderAnswer,
    ProviderCall,
    ProviderFailure,
    ProviderSettings,
    StreamEvent,
    Usage,
)
from tests.support.gateway import asked
from tests.support.gateway.builder import CHAT, ROOT, SCRIPTED, Gateway

START = 1_000_000.0
QUEUE_TIMEOUT = 30.0


class _Clockwork(selectors.DefaultSelector):
    """Waits for nothing: the time that a wait would take has passed."""

    now = START

    def time(self) -> float:
        return self.now

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if not found:
            assert timeout is not None, "everybody waits, and nothing will ever happen"
            self.now += max(timeout, 0.0)
        return found


def in_virtual_time(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run it to its end on a loop whose time passes only by waiting; what it returns."""
    works = _Clockwork()
    loop = asyncio.SelectorEventLoop(works)
    with mock.patch.object(loop, "time", works.time), mock.patch("time.monotonic", works.time):
        try:
            return loop.run_until_complete(work())
        finally:
            loop.close()


Outcome = ProviderFailure | None


class Acting(Provider):
    """acts(seconds since the start, number of the call) says how a call goes, None: well; `takes` seconds each."""

    def __init__(self, name: str, acts: Callable[[float, int], Outcome], takes: float) -> None:
        super().__init__(ProviderSettings(name, "acting"))
        self.acts = acts
        self.takes = takes
        self.asked: list[float] = []
        self.under_way = 0
        self.at_once: list[int] = []  # calls that were under way when each of `asked` came, itself among them

    async def execute(self, call: ProviderCall) -> ProviderAnswer:
        at = clock.now() - clock.at(START)
        self.asked.append(at)
        self.under_way += 1
        self.at_once.append(self.under_way)
        try:
            return await self._answer(call, self.acts(at, len(self.asked)))
        finally:
            self.under_way -= 1

    async def _answer(self, call: ProviderCall, outcome: Outcome) -> ProviderAnswer:
        if outcome is not None and outcome.kind is FailureKind.TIMEOUT and not outcome.status:
            await asyncio.sleep(call.timeout)
        elif outcome is None or not outcome.unsent:
            await asyncio.sleep(min(self.takes, call.timeout))
        if outcome is not None:
            raise outcome
        if self.takes > call.timeout:
            raise ProviderFailure(FailureKind.TIMEOUT, "no answer in time")
        return ProviderAnswer(b'{"choices":[{"message":{"content":"hi"}}]}', Usage(10, 5))

    def stream(self, call: ProviderCall) -> AsyncIterator[StreamEvent]:
        raise NotImplementedError

    async def list_models(self) -> list[Any]:
        return []


class Asked(asked.Asked):
    """ended: seconds since it came, None while it has not; failed: with what error."""

    def __init__(self, timeout: float) -> None:
        body = json.dumps({"model": "chat", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 9})
        super().__init__(body.encode(), timeout=timeout, caller=ROOT)
        self.at = time.monotonic() - START
        self.ended: float | None = None
        self.failed: Any = None

    def _end(self, error: Any = None) -> None:
        assert self.ended is None, "it is answered twice"
        self.ended, self.failed = clock.now() - self.arrived, error

    def on_respond(self, body: bytes, mesh: dict[str, Any], headers: dict[str, str] | None) -> None:
        self._end()

    def on_error(self, error: Any) -> None:
        self._end(error)

    def on_end(self, usage: dict[str, Any] | None, mesh: dict[str, Any]) -> None:
        self._end()

    @property
    def served(self) -> bool:
        return self.ended is not None and self.failed is None


@dataclass
class World:
    """One pool, "chat", of a model "m" for each provider. answered: they have answered before."""

    providers: dict[str, Acting]
    pool: dict[str, Any] = field(default_factory=dict)
    answered: bool = True
    timeout: float = 60.0  # s that a provider may take
    rate: RateSpec = NO_RATES  # of each provider

    def __post_init__(self) -> None:
        specs = [ModelSpec(f"{name}.m", name, "m", (CHAT,)) for name in self.providers]
        gateway = Gateway(
            models=specs,
            pools=[PoolSpec("chat", CHAT, tuple(spec.id for spec in specs), **self.pool)],
            providers=[ProviderSpec(name, SCRIPTED, timeout=self.timeout, rate=self.rate) for name in self.providers],
            connect=lambda settings: self.providers[settings.name],
            config={"daemon": {"max_queue": 1024, "queue_timeout": QUEUE_TIMEOUT}},
        )
        self.runtime = gateway.runtime
        self.room, self.table, self.state = self.runtime.room, self.runtime.table, self.runtime.state
        for spec in specs:
            self.state.model(spec.id).answered = self.answered
        self.asked: list[Asked] = []

    async def ask(self, timeout: float = 60.0) -> Asked:
        exchange = Asked(timeout)
        self.asked.append(exchange)
        await arrival.begin(self.runtime, exchange, Spoken(chat.CHAT, OPENAI.name)).run()
        return exchange

    async def ask_at(self, at: float, timeout: float = 60.0) -> Asked:
        await asyncio.sleep(at)
        return await self.ask(timeout)

    async def one_after_another(self, requests: int, timeout: float = 60.0) -> None:
        for _ in range(requests):
            await self.ask(timeout)


async def sdk_alone(provider: Acting, requests: int) -> list[bool]:
    """As `openai` asks by itself, one after another: three times each, 0.5 s and 1 s apart less up to a quarter; a body
    that cannot be read, or a status that is not worth it, is an error at once. Up to a minute it waits as it is told
    to, and not at all for longer (3.57 up to two minutes, and it gives up where it is told to wait for longer)."""
    served = []
    for _ in range(requests):
        for attempt in range(3):
            try:
                await provider.execute(ProviderCall(chat.CHAT, "m", {}))
            except ProviderFailure as failure:
                status, told = failure.status, failure.retry_after or 0.0
                final = 400 <= status < 500 and status not in (408, 409, 429)
                if final or failure.kind is FailureKind.BAD_ANSWER or attempt == 2:
                    served.append(False)
                    break
                await asyncio.sleep(told if 0 < told <= 60 else 0.5 * 2**attempt * 0.875)
            else:
                served.append(True)
                break
    return served
