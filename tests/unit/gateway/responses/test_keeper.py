"""Kept responses and what stands on their way: hooks, and a router that crashes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from meshd.connectors.registry import ConnectorRegistry
from meshd.gateway.actors import Actors
from meshd.gateway.router import Router
from meshd.messages import StateChanged
from meshd.sdk.hooks import Change, Hook, Power
from meshd.sdk.provider import Provider, ProviderAnswer, ProviderCall, ProviderSettings
from tests.support.gateway.asked import answer_of
from tests.support.gateway.builder import MAIL, VIM, Gateway
from tests.support.waiting import WAIT

ANSWER = {"id": "c", "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "it is SECRET"}}]}


class Model(Provider):
    """Answers when it may."""

    def __init__(self) -> None:
        super().__init__(ProviderSettings("a", "scripted"))
        self.may = asyncio.Event()
        self.may.set()

    async def execute(self, call: ProviderCall) -> ProviderAnswer:
        await self.may.wait()
        return ProviderAnswer(json.dumps(ANSWER).encode())

    def stream(self, call: ProviderCall) -> Any: ...

    async def list_models(self) -> list[Any]:
        return []


class Masking(Hook):
    """Removes what is secret, both ways."""

    may = frozenset({Power.CHANGE})

    async def before_request(self, request):
        return Change({"input": request.fields["input"].replace(b"SECRET", b"hidden")})

    async def after_response(self, request, response):
        return response.body.replace(b"SECRET", b"hidden")


class World:
    def __init__(self) -> None:
        self.model = Model()
        self.gateway = Gateway(connect=lambda settings: self.model)
        self.router = self.gateway.router

    async def ask(self, method: str, path: str, caller: Any = MAIL, **body: Any) -> Any:
        data = json.dumps(body).encode() if body else b""
        return await asyncio.wait_for(answer_of(self.router.dispatcher, method, path, data, caller), WAIT)


async def test_what_a_hook_removes_is_not_kept() -> None:
    world = World()
    world.router.serving.use_hooks([("masking", Masking({}))])
    made = await world.ask("POST", "/v1/responses", model="chat", input="keep SECRET")
    path = f"/v1/responses/{made['id']}"
    assert await world.ask("GET", path) == made
    items = await world.ask("GET", f"{path}/input_items")
    rows = [message.value for message in world.gateway.told_of(StateChanged) if message.table == "response"]
    kept = json.dumps([made, items, rows])
    assert "SECRET" not in kept
    assert kept.count("keep hidden") == 2


async def test_a_router_that_crashed_has_them_still_and_what_ran_has_failed() -> None:
    world = World()
    made = await world.ask("POST", "/v1/responses", model="chat", input="hi")
    world.model.may.clear()
    waits = await world.ask("POST", "/v1/responses", model="chat", input="hi", background=True)
    other = await world.ask("POST", "/v1/responses", VIM, model="chat", input="hi", background=True)
    for _ in range(3):
        await asyncio.sleep(0)
    before = world.router
    before.cut_off(crashed=True)
    actors = Actors(lambda actor, message: None, None, asyncio.ensure_future)  # type: ignore[arg-type]
    world.router = Router(ConnectorRegistry(builtin=False, outside=False), actors, before)
    assert await world.ask("GET", f"/v1/responses/{made['id']}") == made
    for id, caller in ((waits["id"], MAIL), (other["id"], VIM)):
        assert (await world.ask("GET", f"/v1/responses/{id}", caller))["status"] == "failed"
