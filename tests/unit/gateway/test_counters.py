"""All that is sent to a provider is taken from the router's counters, whichever these are, and from nothing else."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from meshd.core.text.durations import ASK_AGAIN_IN
from meshd.gateway.batches.passed.prepared import DoesNotFit, Preparing
from meshd.gateway.frontends.exchange import Deadline, Reply, Request
from meshd.gateway.spoken import spoken_at
from meshd.gateway.upkeep.token_probe import NotSent, ask_one_token
from meshd.host import clock
from meshd.routing.availability.state import MeshState
from meshd.routing.budgets.records import Use
from meshd.routing.table.specs import PoolSpec, ProviderSpec
from meshd.sdk.calls.passing import RawAnswer, RawRequest, Written
from meshd.sdk.provider import ProviderAnswer, ProviderCall
from modelmesh.errors import MeshError, RateLimitError
from tests.support.gateway.builder import CHAT, ROOT, SCRIPTED, Gateway, model
from tests.support.gateway.probed import OK, FakeProvider
from tests.support.routing.watched_counters import WatchedCounters

PATH = "/v1/chat/completions"
ASKED: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "Hello"}]}
LINE = json.dumps(ASKED).encode()
ID = bytes(16)


class Listed:
    """The answer to a request that is passed on."""

    status = 200
    headers: Mapping[str, str] = {"content-type": "application/json"}

    def __init__(self) -> None:
        self._left = [b"", b'{"data": [], "usage": {"input_tokens": 7, "output_tokens": 1}}']

    async def more(self) -> bytes:
        return self._left.pop()

    async def failure(self) -> bytes:
        raise AssertionError("it did not fail")

    def close(self) -> None: ...


class EveryWay(FakeProvider):
    """Takes requests one by one and in batches, and has an API of its own."""

    async def forward(self, asked: RawRequest) -> RawAnswer:
        return Listed()

    def written(self, call: ProviderCall) -> Written:
        return Written("chat/completions", b"{}")

    def read(self, body: bytes, call: ProviderCall) -> ProviderAnswer:
        return OK


class PassedOn(Reply):
    """The way back of a request that is passed on. failure: None, or the error that it got."""

    carries_bytes = True

    def __init__(self) -> None:
        super().__init__()
        self.failure: MeshError | None = None

    def opens(self, status: int, headers: Mapping[str, str]) -> None: ...

    async def chunk(self, data: bytes) -> None: ...

    def respond(self, body: bytes, mesh: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        raise AssertionError("it is passed on in pieces")

    def error(self, error: MeshError) -> None:
        self.done, self.failure = True, error

    def end(self, usage: dict[str, Any] | None, mesh: dict[str, Any]) -> None:
        self.done = True


class Watched(Gateway):
    """One pool, "chat", of p.a and q.b. Its counters keep their numbers elsewhere, so that the router's own stay at
    zero unless something is taken without the counters. full: see `WatchedCounters`."""

    def __init__(self, *full: str) -> None:
        self.counters = WatchedCounters(MeshState(), full)
        self.pool = PoolSpec("chat", CHAT, ("p.a", "q.b"))
        super().__init__(
            models=[model("p.a"), model("q.b")],
            pools=[self.pool],
            providers=[ProviderSpec(name, SCRIPTED, passthrough=True) for name in ("p", "q")],
            connect=lambda settings: EveryWay(),
            counters=lambda state: self.counters,
        )

    @property
    def bypassed(self) -> bool:
        """Whether something was taken without the counters."""
        accounts, rates = self.runtime.state.accounts, self.runtime.state.rates
        return bool(accounts.open) or accounts.used("provider", "p") != Use() or bool(rates.providers)

    async def chat(self) -> None:
        await self.post(PATH, **ASKED)

    async def probe(self) -> None:
        await ask_one_token(self.runtime, self.pool, self.runtime.table.models["p.a"], 5.0)

    @property
    def lines(self) -> Preparing:
        return Preparing(self.runtime, spoken_at()[PATH], ROOT, PATH, "p.a")

    async def line(self) -> None:
        lines = self.lines
        reservation = lines.reserve(ID, LINE)
        await lines.write(ID, LINE)
        await lines.read(ID, LINE, b"{}", reservation, counted=False)

    async def line_given_back(self) -> None:
        self.lines.give_back(self.lines.reserve(ID, LINE))

    async def line_of_an_earlier_run(self) -> None:
        await self.lines.read(ID, LINE, b"{}", None, counted=False)

    async def passed_on(self) -> None:
        reply = PassedOn()
        deadline = Deadline.after(clock.now(), 5.0)
        request = Request(ID, "GET", "/providers/p/models", b"", reply, headers={}, caller=ROOT, deadline=deadline)
        await self.router.dispatcher.run(request)
        if reply.failure is not None:
            raise reply.failure


@pytest.mark.parametrize(
    ("send", "calls"),
    [
        (Watched.chat, ["take p.a", "settle p.a"]),
        (Watched.probe, ["take p.a", "settle p.a"]),
        (Watched.line, ["reserve p.a", "settle_line p.a"]),
        (Watched.line_given_back, ["reserve p.a", "settle_line p.a"]),
        (Watched.line_of_an_earlier_run, ["owe p.a", "settle_line p.a"]),
        (Watched.passed_on, ["enter p", "leave p"]),
    ],
)
async def test_whatever_is_sent_is_taken_from_the_counters_alone(
    send: Callable[[Watched], Awaitable[None]], calls: list[str]
) -> None:
    made = Watched()
    await send(made)
    assert made.counters.calls == calls
    assert not made.bypassed


async def test_a_request_goes_to_another_model_if_the_counters_refuse_one() -> None:
    made = Watched("p.a")
    await made.chat()
    assert made.counters.calls == ["take p.a", "take q.b", "settle q.b"]
    assert [outcome.model for outcome in made.outcomes] == ["q.b"]


@pytest.mark.parametrize(
    ("send", "error"), [(Watched.probe, NotSent), (Watched.line, DoesNotFit), (Watched.passed_on, RateLimitError)]
)
async def test_what_the_counters_refuse_is_not_sent(
    send: Callable[[Watched], Awaitable[None]], error: type[Exception]
) -> None:
    made = Watched("p.a", "p")
    with pytest.raises(error) as refused:
        await send(made)
    assert len(made.counters.calls) == 1
    assert getattr(refused.value, "retry_after", ASK_AGAIN_IN) == ASK_AGAIN_IN
