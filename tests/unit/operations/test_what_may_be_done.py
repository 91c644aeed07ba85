"""What an operation says may be done with its requests, where a pool's rules would do it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from meshd.connectors.providers.openai import OpenAIProvider
from meshd.connectors.providers.scripted.script import Script
from meshd.connectors.providers.scripted.server import ScriptedServer
from meshd.operations.chat import CHAT
from meshd.operations.known import OPERATIONS
from meshd.routing.table.specs import PoolSpec, ProviderSpec
from meshd.sdk.provider import ProviderSettings
from modelmesh import StreamInterrupted
from tests.support.gateway import builder
from tests.support.gateway.builder import SCRIPTED, Gateway

BODY = {"model": "chat", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
async def upstream(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ScriptedServer]:
    """Serves chats of which the operation says what the test's parameter changes."""
    monkeypatch.setitem(OPERATIONS, CHAT.name, replace(CHAT, **request.param))
    server = ScriptedServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def gateway(upstream: ScriptedServer) -> AsyncIterator[Gateway]:
    def connect(settings: ProviderSettings) -> OpenAIProvider:
        return OpenAIProvider(ProviderSettings(settings.name, SCRIPTED, base_url=f"{upstream.url}/v1"))

    made = Gateway(
        models=[builder.model("a.one"), builder.model("b.two")],
        pools=[PoolSpec("chat", builder.CHAT, ("a.one", "b.two"), hedge_after=0.05)],
        providers=[ProviderSpec(name, SCRIPTED) for name in ("a", "b")],
        connect=connect,
    )
    yield made
    await made.runtime.connectors.close()


def asked(gateway: Gateway, **body: Any) -> Any:
    sent = json.dumps(BODY | body).encode()
    return gateway.router.inproc.send("POST", "/v1/chat/completions", sent, stream=bool(body.get("stream")))


@pytest.mark.parametrize(("upstream", "hedges"), [({}, 1), ({"hedged": False}, 0)], indirect=["upstream"])
async def test_a_second_model_is_asked_beside_a_slow_one(
    gateway: Gateway, upstream: ScriptedServer, hedges: int
) -> None:
    upstream.script = Script({"script": {"one": [{"reply": "slow", "delay": 0.5}], "two": [{"reply": "quick"}]}})
    answer = json.loads(await asyncio.wait_for(asked(gateway).whole(), 10))
    assert answer["choices"][0]["message"]["content"] == ("quick" if hedges else "slow")
    (outcome,) = gateway.outcomes
    assert outcome.hedges == hedges
    found = await gateway.post("/mesh/v1/explain", **BODY)
    assert (found["hedge"] is not None) is (hedges == 1)


@pytest.mark.parametrize(("upstream", "goes_on"), [({}, True), ({"continued": False}, False)], indirect=["upstream"])
async def test_another_model_continues_a_broken_stream(
    gateway: Gateway, upstream: ScriptedServer, goes_on: bool
) -> None:
    upstream.script = Script(
        {
            "script": {
                "one": [{"tokens": ["Once ", "upon "], "fault": "reset", "after": 1}],
                "two": [{"reply": "a time"}],
            }
        }
    )
    text = ""

    async def read() -> None:
        nonlocal text
        async for chunk in asked(gateway, stream=True):
            text += "".join(choice["delta"].get("content") or "" for choice in json.loads(chunk)["choices"])

    if goes_on:
        await asyncio.wait_for(read(), 10)
    else:
        with pytest.raises(StreamInterrupted):
            await asyncio.wait_for(read(), 10)
    assert text == ("Once a time" if goes_on else "Once ")
    assert upstream.script.served_by_model == ({"one": 1, "two": 1} if goes_on else {"one": 1})
