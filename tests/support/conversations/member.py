"""A member of a pool that speaks one API, without a daemon: an app of another API asks it through the bridge."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, cast

import msgspec

from meshd.formats.bridge import Bridge
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
from tests.support.answers.spoken import written
from tests.support.formats.openai_chats import Json
from tests.support.providers.vendors.three_apis import Said

_WHERE = Address("here", "http://here")


class Member:
    """A provider that says `said`. asked: the body that it got last."""

    name = "here"
    late_instructions = False

    def __init__(self, speaks: str, said: Said) -> None:
        self.speaks = speaks
        self.custom_tools = speaks != "openai"
        self.said = said
        self.asked: Json = {}
        self._side = provider_format(speaks).provider(ProviderSettings("here", f"{speaks}-compatible.v1"))

    def _answer(self, call: ProviderCall) -> list[bytes]:
        self.asked = json.loads(self._side.write(call))
        return written(CHAT.paths[self.speaks], {**self.asked, "model": call.model, "stream": call.stream}, self.said)

    async def execute(self, call: ProviderCall) -> ProviderAnswer:
        [body] = self._answer(call)
        reading = self._side.read(body, call, _WHERE)
        return ProviderAnswer(reading.body, reading.usage)

    async def stream(self, call: ProviderCall) -> AsyncIterator[StreamEvent]:
        body = BodyInHand(b"".join(self._answer(call)))
        reader = self._side.stream(body, call, _WHERE, Opened(clock.now(), self._side.events_type, None, _failed))
        while not reader.done:
            for event in await reader.more():
                yield event
        reader.close()


def _failed(error: BaseException) -> ProviderFailure:
    return ProviderFailure(FailureKind.BAD_ANSWER, str(error))


async def answered(app: str, body: Json, member: Member, *, stream: bool) -> list[Json]:
    """What the app gets: one answer, or a stream's payloads. Raises ProviderFailure."""
    asked = {"model": "m", **body, "stream": stream}
    if stream and app == "openai":
        asked["stream_options"] = {"include_usage": True}
    fields = msgspec.json.decode(json.dumps(asked), type=dict[str, msgspec.Raw])
    call = ProviderCall(CHAT, "m", fields, stream, format=app)
    bridge = Bridge(cast(Provider, member), app_format(app), provider_format(member.speaks), 7)
    if not stream:
        return [json.loads((await bridge.execute(call)).body)]
    found: list[Any] = [json.loads(event.data) async for event in bridge.stream(call) if event.data]
    return found
