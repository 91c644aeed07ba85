"""What it costs to answer an app of one format by a provider of another, beyond passing the bytes on."""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from itertools import product
from typing import Any, cast

import msgspec

from meshd.formats.bridge import Bridge
from meshd.formats.known import FORMATS
from meshd.formats.lookup import app_format, provider_format
from meshd.formats.protocol import Address, Opened
from meshd.host import clock
from meshd.net.http import BodyInHand
from meshd.operations.chat import CHAT
from meshd.sdk.provider import (
    FailureKind,
    Provider,
    ProviderAnswer,
    ProviderCall,
    ProviderFailure,
    ProviderSettings,
    StreamEvent,
)
from tests.bench.tools.figures import Figure
from tests.support.answers.spoken import written
from tests.support.providers.vendors.three_apis import Said

_WHERE = Address("here", "http://here")
_TIMES, _STREAMS = 400, 30
_SAID = Said(text="The weather in Oslo is fair. " * 35, calls=(("weather", {"city": "Oslo", "days": 3}),))
_SENTENCE = "Say what the weather will be like in the town that is named next, and tell how sure you are. "
_ASKED = {
    "model": "m",
    "messages": [
        {"role": "system", "content": _SENTENCE * 6},
        {"role": "user", "content": _SENTENCE * 5},
        {"role": "assistant", "content": _SENTENCE * 3},
        {"role": "user", "content": "In Oslo?"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "description": "The weather of a town, for some days",
                "parameters": {
                    "type": "object",
                    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                    "required": ["city"],
                },
            },
        }
    ],
    "temperature": 0.5,
    "max_tokens": 500,
}
"""About 2 kB."""


class _Canned:
    """A provider whose answer is always the same, and read as one that came by HTTP."""

    name = "here"
    late_instructions = False

    def __init__(self, speaks: str) -> None:
        self.speaks, self.custom_tools = speaks, speaks != "openai"
        self._side = provider_format(speaks).provider(ProviderSettings("here", f"{speaks}-compatible.v1"))
        asked: dict[str, Any] = {"model": "m", "stream": False}
        [self._unary] = written(CHAT.paths[speaks], asked, _SAID)
        self._stream = b"".join(written(CHAT.paths[speaks], {**asked, "stream": True}, _SAID))

    async def execute(self, call: ProviderCall) -> ProviderAnswer:
        self._side.write(call)
        reading = self._side.read(self._unary, call, _WHERE)
        return ProviderAnswer(reading.body, reading.usage)

    async def stream(self, call: ProviderCall) -> AsyncIterator[StreamEvent]:
        self._side.write(call)
        opened = Opened(clock.now(), self._side.events_type, None, _failed)
        reader = self._side.stream(BodyInHand(self._stream), call, _WHERE, opened)
        while not reader.done:
            for event in await reader.more():
                yield event
        reader.close()


def _failed(error: BaseException) -> ProviderFailure:
    return ProviderFailure(FailureKind.BAD_ANSWER, str(error))


def translation() -> list[Figure]:
    apps = [name for name, known in FORMATS.items() if known.app]
    pairs = [(app, spoken) for app, spoken in product(apps, FORMATS) if app != spoken]
    unary = {pair: _added(*pair, stream=False) for pair in pairs}
    events = {pair: _added(*pair, stream=True) for pair in pairs}
    return [
        _figure("translation of a unary request of 2 kB, slowest pair", unary, 150.0),
        _figure("translation of a streamed event, slowest pair", events, 15.0),
    ]


def _figure(name: str, costs: dict[tuple[str, str], float], target: float) -> Figure:
    slowest_first = sorted(costs.items(), key=lambda each: -each[1])
    detail = ", ".join(f"{app} by {spoken} {cost * 1e6:.1f}" for (app, spoken), cost in slowest_first)
    return Figure(name, slowest_first[0][1] * 1e6, target, "µs", detail=detail)


def _added(app: str, spoken: str, *, stream: bool) -> float:
    """Seconds beyond the same answer by that provider to an app of its own format; of a stream, for each event."""
    provider = _Canned(spoken)
    own, theirs = _call(spoken, stream), _call(app, stream)

    def bridge() -> Bridge:
        return Bridge(cast(Provider, provider), app_format(app), provider_format(spoken), 500)

    if not stream:
        direct = _time(lambda: provider.execute(own), _TIMES)
        return _time(lambda: bridge().execute(theirs), _TIMES) - direct
    count = asyncio.run(_drained(provider.stream(own)))
    direct = _time(lambda: _drained(provider.stream(own)), _STREAMS)
    return (_time(lambda: _drained(bridge().stream(theirs)), _STREAMS) - direct) / count


def _call(format: str, stream: bool) -> ProviderCall:
    """The request, as an app of this format asks it."""
    asked = {**_ASKED, "stream": stream}
    body = json.dumps(asked).encode()
    if format != "openai":
        conversation = app_format("openai").translator().read_request(body)
        body = provider_format(format).translator().write_request(conversation)
    return ProviderCall(CHAT, "m", msgspec.json.decode(body, type=dict[str, msgspec.Raw]), stream, format=format)


async def _drained(events: AsyncIterator[StreamEvent]) -> int:
    count = 0
    async with aclosing(cast(Any, events)) as opened:
        async for _ in opened:
            count += 1
    return count


def _time(made: Callable[[], Awaitable[object]], times: int) -> float:
    """Seconds that one takes, at the median."""

    async def all_of_them() -> float:
        taken = []
        for _ in range(times + times // 4):
            began = time.perf_counter()
            await made()
            taken.append(time.perf_counter() - began)
        return statistics.median(taken[times // 4 :])

    gc.collect()
    return asyncio.run(all_of_them())
