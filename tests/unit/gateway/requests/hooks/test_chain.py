"""Hooks on a request's way, through the real router: what they see, and what their answers do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from meshd.gateway.requests.hooks.chain import HookedRequest
from meshd.routing.table.policies import CachePolicy, RetryPolicy
from meshd.routing.table.specs import PoolSpec
from meshd.sdk.hooks import Answer, Change, Hook, Power, Refusal
from meshd.sdk.provider import Provider, ProviderAnswer, ProviderCall, ProviderSettings, StreamEvent, Usage
from tests.support.gateway.asked import Asked
from tests.support.gateway.builder import CHAT, MAIL, Gateway
from tests.support.gateway.virtual_world import in_virtual_time

WORDS = ("Once", "upon", "a", "time")


class Model(Provider):
    """Answers always, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(ProviderSettings("a", "scripted"))
        self.calls: list[ProviderCall] = []

    async def execute(self, call: ProviderCall) -> ProviderAnswer:
        self.calls.append(call)
        return ProviderAnswer(b'{"from":"model"}', Usage(10, 5))

    async def stream(self, call: ProviderCall) -> AsyncIterator[StreamEvent]:
        self.calls.append(call)
        for word in WORDS:
            yield StreamEvent(json.dumps(word).encode(), content=True, text=word)
        yield StreamEvent(b'"end"', finish_reason="stop", usage=Usage(10, 5))

    async def list_models(self) -> list[Any]:
        return []


class App(Asked):
    """Keeps what it gets, and when: in `log`, which hooks may write as well."""

    def __init__(self, log: list[Any], *, stream: bool = False, **more: Any) -> None:
        body = {"model": "chat", "messages": [{"role": "user", "content": "Hello"}], "temperature": 0, **more}
        super().__init__(
            json.dumps(body | ({"stream": True} if stream else {})).encode(),
            stream=stream,
            timeout=30.0,
            caller=MAIL,
            headers={"content-type": "application/json"},
        )
        self.log = log

    def on_respond(self, body, mesh, headers):
        self.log.append(("answer", body))

    def on_error(self, error):
        self.log.append(("error", error.status_code, error.code))

    def on_end(self, usage, mesh):
        self.log.append(("end",))

    def on_chunk(self, data):
        self.log.append(("chunk", json.loads(data)))


class World:
    """A router with hooks, one pool of one model, and what was said."""

    def __init__(self, *hooks: Hook, cached: bool = False) -> None:
        self.model = Model()
        cache = CachePolicy(ttl=60.0) if cached else None
        self.gateway = Gateway(
            pools=[PoolSpec("chat", CHAT, ("a.one",), retry=RetryPolicy(1), cache=cache)],
            connect=lambda settings: self.model,
        )
        self.gateway.router.serving.use_hooks((type(hook).__name__.lower(), hook) for hook in hooks)

    async def ask(self, log: list[Any] | None = None, **given: Any) -> list[Any]:
        app = App([] if log is None else log, **given)
        await asyncio.wait_for(self.gateway.router.dispatcher.run(app), 20)
        return app.log

    @property
    def ends(self) -> list[tuple[int, int]]:
        """Status and cost of each request."""
        return [(outcome.status, outcome.cost) for outcome in self.gateway.outcomes]


class Observing(Hook):
    def __init__(self, log: list[Any]) -> None:
        super().__init__({})
        self.log = log

    async def before_request(self, request):
        self.log.append(("before_request", request.pool, request.asked, request.fields["temperature"]))

    async def before_attempt(self, request, attempt):
        self.log.append(("before_attempt", attempt.model, attempt.number))

    async def after_response(self, request, response):
        self.log.append(("after_response", response.body, response.cached))

    async def on_stream_event(self, request, data):
        self.log.append(("on_stream_event", json.loads(data)))

    async def on_error(self, request, error):
        self.log.append(("on_error", error.status, error.code))


class Refusing(Hook):
    """At one place. word: the stream's event that it refuses."""

    may = frozenset({Power.REFUSE})

    def __init__(self, place: str, word: str = WORDS[1]) -> None:
        super().__init__({})
        self.place, self.word = place, word

    def _at(self, place: str) -> Refusal | None:
        return Refusal("not that", 451, "not_that") if place == self.place else None

    async def before_request(self, request):
        return self._at("before_request")

    async def before_attempt(self, request, attempt):
        return self._at("before_attempt")

    async def after_response(self, request, response):
        return self._at("after_response")

    async def on_stream_event(self, request, data):
        return self._at("on_stream_event") if json.loads(data) == self.word else None


class Changing(Hook):
    may = frozenset({Power.CHANGE})

    async def before_request(self, request):
        return Change({"max_tokens": b"7", "seed": None})

    async def after_response(self, request, response):
        return None if response.body is None else b'{"from":"hook"}'

    async def on_stream_event(self, request, data):
        return data.upper()


class Answering(Hook):
    may = frozenset({Power.ANSWER})

    async def before_request(self, request):
        return Answer(chunks=(b'"by"', b'"hook"')) if request.stream else Answer(b'{"from":"hook"}')


class Wrong(Hook):
    """Does something that a hook must not."""

    timeout = 0.5

    def __init__(self, how: str, required: bool = False) -> None:
        super().__init__({})
        self.how, self.required, self.calls = how, required, 0

    async def before_request(self, request):
        self.calls += 1
        if self.how == "raises":
            raise RuntimeError("a bug")
        if self.how == "exits":
            raise SystemExit(3)
        if self.how == "cancels":
            raise asyncio.CancelledError
        if self.how == "hangs":
            await asyncio.Event().wait()
        if self.how == "hangs stubbornly":
            for _ in range(100):
                try:
                    await asyncio.sleep(10)
                except asyncio.CancelledError:
                    continue
        if self.how == "exceeds its powers":
            return Refusal("no")
        return {"anything": 1}


WRONG = ("raises", "exits", "cancels", "hangs", "hangs stubbornly", "exceeds its powers", "nonsense")


async def test_an_observer_sees_every_step_of_an_answer() -> None:
    log: list[Any] = []
    await World(Observing(log)).ask(log)
    assert log == [
        ("before_request", "chat", "chat", b"0"),
        ("before_attempt", "a.one", 1),
        ("after_response", b'{"from":"model"}', False),
        ("answer", b'{"from":"model"}'),
    ]


@pytest.mark.parametrize("cached", [False, True])
async def test_an_observer_sees_each_event_of_a_stream_before_the_app(cached: bool) -> None:
    log: list[Any] = []
    world = World(Observing(log), cached=cached)
    await world.ask(log, stream=True)
    seen = [each for each in log if each[0] in ("on_stream_event", "chunk")]
    assert seen == [(what, word) for word in (*WORDS, "end") for what in ("on_stream_event", "chunk")]
    assert log[-2:] == [("after_response", None, False), ("end",)]
    assert [status for status, _ in world.ends] == [200]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_kept_answer_passes_the_hooks_once_for_each_request(stream: bool) -> None:
    world = World(Changing({}), cached=True)
    first, second = await world.ask(stream=stream), await world.ask(stream=stream)
    assert first == second
    assert first[0] == (("chunk", "ONCE") if stream else ("answer", b'{"from":"hook"}'))
    assert len(world.model.calls) == 1


async def test_a_changed_body_is_what_is_asked_and_looked_up() -> None:
    world = World(Changing({}), cached=True)
    await world.ask(seed=1)
    await world.ask(seed=2)  # which the hook takes out
    (call,) = world.model.calls
    assert bytes(call.fields["max_tokens"]) == b"7"
    assert "seed" not in call.fields


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("place", ["before_request", "before_attempt", "after_response"])
async def test_a_refusal_is_the_answer_and_the_outcome(place: str, cached: bool) -> None:
    log: list[Any] = []
    world = World(Observing(log), Refusing(place), cached=cached)
    await world.ask(log)
    assert log[-2:] == [("error", 451, "not_that"), ("on_error", 451, "not_that")]
    asked = place == "after_response"
    assert len(world.model.calls) == asked
    ((status, cost),) = world.ends
    assert status == 451
    assert bool(cost) == asked
    assert "hook_failed" not in world.gateway.events


async def test_a_kept_answer_may_be_refused() -> None:
    world = World(cached=True)
    await world.ask()
    world.gateway.router.serving.use_hooks([("late", Refusing("after_response"))])
    assert await world.ask() == [("error", 451, "not_that")]
    assert [status for status, _ in world.ends] == [200, 451]


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("word", WORDS[:2])
async def test_a_refused_event_ends_the_stream(word: str, cached: bool) -> None:
    world = World(Refusing("on_stream_event", word), cached=cached)
    before = [("chunk", each) for each in WORDS[: WORDS.index(word)]]
    assert await world.ask(stream=True) == [*before, ("error", 451, "not_that")]
    await asyncio.sleep(0)  # a shared request notices that its app is gone
    assert [status for status, _ in world.ends] == [451]
    assert world.gateway.runtime.state.model("a.one").in_flight == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_a_hook_may_answer_at_no_cost(stream: bool) -> None:
    world = World(Answering({}), cached=True)
    by_hook = [("chunk", "by"), ("chunk", "hook"), ("end",)] if stream else [("answer", b'{"from":"hook"}')]
    assert await world.ask(stream=stream) == by_hook
    assert not world.model.calls
    assert world.ends == [(200, 0)]


@pytest.mark.parametrize("how", WRONG)
def test_a_hook_that_makes_a_mistake_is_set_aside(how: str) -> None:
    async def asked() -> None:
        wrong = Wrong(how)
        world = World(wrong, Changing({}))
        for _ in range(2):
            assert await world.ask() == [("answer", b'{"from":"hook"}')]
        assert wrong.calls == 1
        assert world.gateway.events.count("hook_failed") == 1

    in_virtual_time(asked)


@pytest.mark.parametrize("how", WRONG)
def test_a_request_is_refused_while_a_required_hook_fails(how: str) -> None:
    async def asked() -> None:
        wrong = Wrong(how, required=True)
        world = World(wrong)
        for _ in range(2):
            assert await world.ask() == [("error", 503, "hook_failed")]
        assert wrong.calls == 2
        assert world.ends == [(503, 0)] * 2
        assert world.gateway.events.count("hook_failed") == 1
        assert not world.model.calls

    in_virtual_time(asked)


@pytest.mark.parametrize("place", ["before_request", "after_response"])
async def test_a_request_that_is_given_up_in_a_hook_is_counted_once(place: str) -> None:
    entered = asyncio.Event()

    class Slow(Hook):
        timeout = 60.0

    async def method(self: Hook, *_: Any) -> None:
        entered.set()
        await asyncio.Event().wait()

    setattr(Slow, place, method)
    world = World(Slow({}))
    asking = asyncio.ensure_future(world.ask())
    await asyncio.wait_for(entered.wait(), 10)
    asking.cancel()
    await asyncio.wait({asking}, timeout=10)
    assert [status for status, _ in world.ends] == [499]
    assert "hook_failed" not in world.gateway.events


async def test_a_refused_request_that_others_follow_leaves_them_their_answer() -> None:
    world = World(cached=True)

    class First(Hook):
        may = frozenset({Power.REFUSE})
        seen = 0

        async def after_response(self, request, response):
            self.seen += 1
            return Refusal("not the first") if self.seen == 1 else None

    world.gateway.router.serving.use_hooks([("first", First({}))])
    answers = await asyncio.gather(world.ask(), world.ask())
    assert sorted(each[0][0] for each in answers) == ["answer", "error"]
    assert len(world.model.calls) == 1
    assert sorted(status for status, _ in world.ends) == [200, 403]


async def test_a_body_with_half_a_surrogate_pair_may_be_changed() -> None:
    world = World(Changing({}))
    assert await world.ask(user="\ud800") == [("answer", b'{"from":"hook"}')]
    assert bytes(world.model.calls[0].fields["user"]) == b'"\\ud800"'


@pytest.mark.parametrize("stream", [False, True])
async def test_without_hooks_nothing_stands_between_an_answer_and_its_app(
    stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither an object for the request nor a call for a chunk."""

    def never(*_: Any) -> None:
        raise AssertionError("a hooked request was made")

    monkeypatch.setattr(HookedRequest, "__init__", never)
    log = await World().ask(stream=stream)
    assert log[-1] == (("end",) if stream else ("answer", b'{"from":"model"}'))
