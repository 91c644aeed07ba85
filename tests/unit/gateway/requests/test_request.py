"""One request's effects: what is settled when, and what an app may be given."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Literal

import msgspec
import pytest

from meshd.core.events.records import Event
from meshd.core.needs import PREAMBLE
from meshd.core.prices import Pricing
from meshd.formats.openai.format import OPENAI
from meshd.gateway.requests import arrival
from meshd.gateway.requests.attempts.attempt import OVERTIME
from meshd.gateway.spoken import Spoken
from meshd.host import clock
from meshd.operations import chat
from meshd.routing.attempts import usage as settlement
from meshd.routing.table.specs import Allowance, ModelSpec, PoolSpec, RetryPolicy, StreamPolicy
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
from meshd.spend.journal import JournalWriter
from tests.support.gateway.asked import Asked
from tests.support.gateway.builder import CHAT, Gateway
from tests.support.gateway.virtual_world import in_virtual_time

PRICE = Pricing(input_per_1m=1_000_000_000, output_per_1m=2_000_000_000)


class Recording(Asked):
    """What the app and the ledger were told, in order."""

    def __init__(
        self, told: list[Any], stream: bool = False, timeout: float = 5.0, first_chunk: float | None = None
    ) -> None:
        extra = b',"stream":true' if stream else b""
        body = b'{"model":"chat","messages":[{"role":"user","content":"Hello"}],"max_tokens":100' + extra + b"}"
        super().__init__(body, timeout=timeout, first_chunk=first_chunk, stream=stream)
        self.told = told

    def on_respond(self, body, mesh, headers):
        self.told.append(("respond", body))

    def on_error(self, error):
        self.told.append(("error", error))

    def on_end(self, usage, mesh):
        self.told.append(("end", usage))

    def on_chunk(self, data):
        self.told.append(("chunk", data))


class Ledger(JournalWriter):
    def __init__(self, told: list[Any]) -> None:
        super().__init__()
        self.told = told

    def begin(self, request, at, provider, model, pool, app, reserved, deadline, attempt, *_, units):
        self.told.append(("begin", reserved))

    def settle(self, request, at, tokens_in, tokens_out, tokens_cached, cost, ok, attempt, sent, *, units):
        self.told.append(("settle", tokens_in, tokens_out, cost, ok))


class Scripted(Provider):
    """Each call takes the next step: an answer, an exception, or a list of events and exceptions."""

    def __init__(self, steps: list[Any]) -> None:
        super().__init__(ProviderSettings("p", "scripted"))
        self.steps = steps

    async def execute(self, call: ProviderCall) -> ProviderAnswer:
        step = self.steps.pop(0)
        if step == "hang":
            await asyncio.Event().wait()
        if isinstance(step, Exception):
            raise step
        return step

    async def stream(self, call: ProviderCall) -> AsyncIterator[StreamEvent]:
        for step in self.steps.pop(0):
            if isinstance(step, Exception):
                raise step
            if isinstance(step, float):
                await asyncio.sleep(step)
            else:
                yield step

    async def list_models(self):
        return []


def gateway(
    told: list[Any], script: list[Any] | Provider, *models: str, budget: int | None = None, **pool: Any
) -> Gateway:
    """One pool, "chat", of one provider's models. script: the provider, or its steps."""
    specs = [ModelSpec(f"p.{name}", "p", name, (CHAT,), pricing=PRICE) for name in models or ("m",)]
    provider = script if isinstance(script, Provider) else Scripted(script)
    made = Gateway(
        models=specs,
        pools=[PoolSpec("chat", CHAT, tuple(spec.id for spec in specs), **{"retry": RetryPolicy(1), **pool})],
        allowances=() if budget is None else [Allowance("provider", "p", "cost", "day", budget)],
        connect=lambda settings: provider,
        config={"daemon": {"queue_timeout": 1.0}},
    )
    made.runtime.ledger = Ledger(told)
    return made


async def run(made: Gateway, exchange: Recording) -> None:
    await asyncio.wait_for(arrival.begin(made.runtime, exchange, Spoken(chat.CHAT, OPENAI.name)).run(), 10)


async def test_an_answer_is_settled_before_the_app_has_it() -> None:
    told: list[Any] = []
    made = gateway(told, [ProviderAnswer(b"{}", Usage(10, 5))])
    await run(made, Recording(told))
    assert [what[0] for what in told] == ["begin", "settle", "respond"]
    assert told[1][1:] == (10, 5, 10_000 + 10_000, True)


async def test_what_an_attempt_may_cost_at_most_is_written_down_before_it_leaves() -> None:
    told: list[Any] = []
    made = gateway(told, [ProviderAnswer(b"{}", Usage(1, 1))])
    await run(made, Recording(told))
    prompt = len(Recording([]).body) + PREAMBLE
    assert told[0] == ("begin", prompt * 1000 + 100 * 2000)


async def test_an_answer_without_usage_is_not_free() -> None:
    told: list[Any] = []
    made = gateway(told, [ProviderAnswer(b"x" * 40, None)])
    await run(made, Recording(told))
    assert told[1][1] > 0
    assert told[1][2] == 40 // settlement.OUTPUT_BYTES_PER_TOKEN
    assert made.outcomes[0].cost > 0


async def test_what_an_attempt_used_is_not_counted_for_the_next() -> None:
    told: list[Any] = []
    cut = [StreamEvent(b"{}", usage=Usage(50, 5)), ProviderFailure(FailureKind.STREAM_CUT, "cut")]
    refused = [ProviderFailure(FailureKind.SERVER, "down", status=500)]
    made = gateway(told, [cut, refused], "a", "b")
    await run(made, Recording(told, stream=True))
    settled = [what[1:] for what in told if what[0] == "settle"]
    assert settled == [(50, 5, 60_000, False), (0, 0, 0, False)]


@pytest.mark.parametrize("on_failure", ["terminate", "continue"])
async def test_a_connectors_bug_after_content_never_begins_the_stream_again(
    on_failure: Literal["terminate", "continue"], caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Any] = []
    begins = StreamEvent(b'{"id":"1","choices":[{"delta":{"content":"a"}}]}', content=True, text="a")
    goes_on = StreamEvent(b'{"id":"2","choices":[{"delta":{"content":"b"}}]}', content=True, text="b")
    ends = StreamEvent(b'{"id":"2","choices":[{"delta":{},"finish_reason":"stop"}]}', finish_reason="stop")
    made = gateway(
        told, [[begins, KeyError("oops")], [goes_on, ends]], "a", "b", stream=StreamPolicy(on_failure=on_failure)
    )
    await run(made, Recording(told, stream=True))
    if on_failure == "terminate":
        assert [what[0] for what in told] == ["begin", "chunk", "settle", "error"]
        assert told[-1][1].code == "stream_interrupted"
        return
    assert [what[0] for what in told] == ["begin", "chunk", "settle", "begin", "chunk", "chunk", "settle", "end"]
    assert {msgspec.json.decode(what[1])["id"] for what in told if what[0] == "chunk"} == {"1"}
    assert made.outcomes[0].status == 200


async def test_an_app_with_a_short_deadline_takes_no_model_out() -> None:
    told: list[Any] = []
    slow = ProviderFailure(FailureKind.TIMEOUT, "no answer")
    made = gateway(told, [slow, slow, slow])
    for _ in range(3):
        await run(made, Recording(told, timeout=0.05))
    assert made.runtime.state.model("p.m").failures == 0
    assert {type(what[1]).__name__ for what in told if what[0] == "error"} == {"RequestTimeoutError"}


def virtually(script: list[Any], **exchange: Any) -> list[Any]:
    """What one request is told in virtual time, and how many seconds it took."""

    async def work() -> list[Any]:
        told: list[Any] = []
        app = Recording(told, **exchange)
        await arrival.begin(gateway(told, script).runtime, app, Spoken(chat.CHAT, OPENAI.name)).run()
        return [*told, clock.now() - app.arrived]

    found: list[Any] = in_virtual_time(work)
    return found


def test_a_connector_that_ignores_its_timeout_is_stopped() -> None:
    *_, error, took = virtually(["hang"], timeout=5.0)
    assert (error[1].status_code, took) == (504, pytest.approx(5.0 + OVERTIME, abs=0.01))


def test_a_connector_that_ignores_when_a_first_chunk_is_due_is_stopped() -> None:
    *_, error, took = virtually([[20.0]], stream=True, timeout=20.0, first_chunk=5.0)
    assert (error[1].status_code, took) == (504, pytest.approx(5.0 + OVERTIME, abs=0.01))


def test_but_a_stream_that_has_begun_continues() -> None:
    ends = StreamEvent(b'{"id":"1","choices":[]}', finish_reason="stop")
    *told, _ = virtually([[content("a"), 15.0, content("b"), ends]], stream=True, timeout=60.0, first_chunk=5.0)
    assert [what for what, *_ in told if what in ("chunk", "end", "error")] == ["chunk", "chunk", "chunk", "end"]


# -- what review found ---------------------------------------------------------------------------------


def content(text: str, usage: Usage | None = None) -> StreamEvent:
    data = msgspec.json.encode({"id": "1", "choices": [{"index": 0, "delta": {"content": text}}]})
    return StreamEvent(data, content=True, text=text, usage=usage)


class Gated(Scripted):
    """Answers when the gate opens."""

    def __init__(self, gate: asyncio.Event) -> None:
        super().__init__([])
        self.gate = gate

    async def execute(self, call: ProviderCall) -> ProviderAnswer:
        await self.gate.wait()
        return ProviderAnswer(b'{"choices":[{"message":{"content":"x"}}]}', Usage(10, 50))


async def test_the_loser_of_a_race_is_settled_as_it_reports() -> None:
    told: list[Any] = []
    gate = asyncio.Event()
    asked: list[str] = []

    class Both(Gated):
        async def execute(self, call: ProviderCall) -> ProviderAnswer:
            asked.append(call.model)
            if len(asked) == 2:
                gate.set()
            return await super().execute(call)

    made = gateway(told, Both(gate), "a", "b", hedge_after=0.001)
    await run(made, Recording(told))
    assert asked == ["a", "b"]
    assert [what[1:3] for what in told if what[0] == "settle"] == [(10, 50), (10, 50)]
    assert sum(what[0] == "respond" for what in told) == 1


async def test_a_report_in_the_middle_of_a_stream_is_not_all_of_it() -> None:
    told: list[Any] = []
    words = [content("word ") for _ in range(40)]
    cut = [content("first ", Usage(8, 1)), *words, ProviderFailure(FailureKind.STREAM_CUT, "cut")]
    made = gateway(told, [cut], stream=StreamPolicy(on_failure="terminate"))
    await run(made, Recording(told, stream=True))
    ((_, tokens_in, tokens_out, *_),) = [what for what in told if what[0] == "settle"]
    assert tokens_in == 8
    assert tokens_out >= 1 + 40


async def test_reports_that_keep_up_are_taken_as_they_are() -> None:
    told: list[Any] = []
    cut = [content("a ", Usage(8, 1)), content("b ", Usage(8, 2)), ProviderFailure(FailureKind.STREAM_CUT, "cut")]
    made = gateway(told, [cut], stream=StreamPolicy(on_failure="terminate"))
    await run(made, Recording(told, stream=True))
    assert [what[1:3] for what in told if what[0] == "settle"] == [(8, 2)]


@pytest.mark.interpreted
async def test_a_stream_that_its_own_deadline_ends_takes_no_model_out(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    for _ in range(3):
        app = Recording(told, stream=True, timeout=60.0)

        class Late(Scripted):
            async def stream(self, call: ProviderCall) -> AsyncIterator[StreamEvent]:
                yield content("a")
                monkeypatch.setattr(clock, "now", lambda: app.deadline.at + 1.0)  # noqa: B023
                raise ProviderFailure(FailureKind.STREAM_CUT, "the request's time is over")

        made = gateway(told, Late([]))
        await run(made, app)
        monkeypatch.undo()
        assert made.runtime.state.model("p.m").failures == 0
    assert {type(what[1]).__name__ for what in told if what[0] == "error"} == {"RequestTimeoutError"}


async def test_a_connectors_own_timeout_before_content_is_a_failed_attempt() -> None:
    told: list[Any] = []
    whole = [content("a"), StreamEvent(b'{"id":"1","choices":[]}', finish_reason="stop")]
    made = gateway(told, [[TimeoutError()], whole], "a", "b")
    await run(made, Recording(told, stream=True, timeout=60.0))
    assert (made.outcomes[0].status, [attempt.ok for attempt in made.outcomes[0].attempts]) == (200, [False, True])


async def test_whatever_goes_wrong_nothing_stays_reserved() -> None:
    told: list[Any] = []
    made = gateway(told, [ProviderAnswer(b"{}", Usage(1, 1))], "a", "b", budget=10**12)
    made.runtime.state.model("p.a").availability.standby = True
    made.runtime.state.model("p.a").availability.until = time.time() + 60
    made.runtime.state.pool("chat").current = "p.a"
    made.never_told = (Event,)  # of the rotation
    with pytest.raises(KeyError):
        await run(made, Recording(told))
    assert [outcome.status for outcome in made.outcomes] == [500]
    assert made.runtime.state.model("p.b").in_flight == made.runtime.state.provider("p").in_flight == 0
    assert made.runtime.state.accounts.standing(time.time())[0]["reserved"] == 0
