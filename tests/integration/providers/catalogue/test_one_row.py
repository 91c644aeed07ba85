"""A provider that is only data (the example of docs/providers.md), added to a running daemon; prices from a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import yaml
from aiohttp import web

from meshd.catalogue import overrides
from meshd.catalogue.overrides import Listed, Overrides
from tests.support.providers.servers.in_thread import ProviderInThread
from tests.support.waiting import WAIT

PAGE = Path(__file__).parents[4] / "docs" / "providers.md"
KNOWN = {"model", "messages", "max_tokens", "temperature", "stream", "stream_options"}


class Strict(ProviderInThread):
    """Refuses fields, roles and numbers that it does not know, as Mistral's API does."""

    tier: str | None = None

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        super().__init__()

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        return app

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "acme-large", "object": "model"}]})

    async def _chat(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked.append(body)
        extra = sorted(set(body) - KNOWN)
        roles = {message["role"] for message in body["messages"]} - {"system", "user", "assistant", "tool"}
        if extra or roles or body.get("temperature", 0) > 1 or request.headers["authorization"] != "Bearer k-acme":
            detail = [{"type": "extra_forbidden", "loc": ["body", *extra, *roles], "msg": "Extra inputs"}]
            return web.json_response({"detail": detail}, status=422)
        choice = {"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
        answer = {"object": "chat.completion", "choices": [choice], "usage": usage, "service_tier": self.tier}
        return web.json_response(answer)


@pytest.fixture
def strict() -> Iterator[Strict]:
    server = Strict()
    yield server
    server.close()


def test_a_provider_is_added_to_a_running_daemon_as_data(meshd: Any, strict: Strict) -> None:
    base: dict[str, Any] = {
        "providers": {"other": {"connector": "modelmesh.scripted.v1", "script": [{"text": "other"}], "models": ["o"]}},
        "proxy": {"enabled": True, "port": "auto"},
        "discovery": {"health": {"enabled": False}},
    }
    daemon = meshd(base)
    example = yaml.safe_load(PAGE.read_text("utf-8").partition("```yaml\n")[2].partition("```")[0])
    entry = example["providers"]["north"] | {"base_url": f"http://127.0.0.1:{strict.port}/v1", "api_key": "k-acme"}
    daemon.write({**base, "providers": base["providers"] | {"acme": entry}})
    assert daemon.ask("POST", "/mesh/v1/reload", {})["ok"]

    turns: Any = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Are you there?"}]
    address = daemon.status()["http"]["addresses"][0]
    with openai.OpenAI(base_url=f"{address}/v1", api_key="any", timeout=WAIT, max_retries=0) as client:
        answer = client.chat.completions.create(
            model="acme.acme-large", messages=turns, max_completion_tokens=50, temperature=1.8
        )
    assert answer.choices[0].message.content == "Yes."
    sent = strict.asked[-1]
    assert sent == {
        "model": "acme-large",
        "messages": [{"role": "system", "content": "Be brief."}, turns[1]],
        "max_tokens": 50,
        "temperature": 1.0,
    }


def test_prices_taken_over_count_after_a_reload(meshd: Any, strict: Strict) -> None:
    """gpt-4o-mini at $1.50 and $6 instead of $0.15 and $0.60."""
    entry = strict.provider(connector="openai.llm.v1", api_key="k-acme")
    daemon = meshd({"providers": {"openai": entry}, "models": {"openai.gpt-4o-mini": {}, "openai.gpt-5-mini": {}}})
    client = daemon.client()

    def cost(model: str = "openai.gpt-4o-mini") -> float:
        turns = [{"role": "user", "content": "Are you there?"}]
        answer = client.chat.completions.create(model=model, messages=turns)
        return float(answer.mesh.cost)

    assert cost() == pytest.approx((9 * 0.15 + 2 * 0.6) / 1e6)
    prices = {"input_per_1m": "1.5", "output_per_1m": "6"}
    told = Listed(prices=prices, source="https://acme.example", date="2026-11-28")
    overrides.write(daemon.state, Overrides({"openai.llm.v1": {"gpt-4o-mini": told}}))
    assert daemon.ask("POST", "/mesh/v1/reload", {})["ok"]
    assert cost() == pytest.approx((9 * 1.5 + 2 * 6) / 1e6)
    overrides.place(daemon.state).unlink()
    assert daemon.ask("POST", "/mesh/v1/reload", {})["ok"]
    assert cost() == pytest.approx((9 * 0.15 + 2 * 0.6) / 1e6)
    strict.tier = "flex"
    assert cost("openai.gpt-5-mini") == pytest.approx((9 * 0.125 + 2 * 1) / 1e6)
    strict.tier = "default"
    assert cost("openai.gpt-5-mini") == pytest.approx((9 * 0.25 + 2 * 2) / 1e6)
