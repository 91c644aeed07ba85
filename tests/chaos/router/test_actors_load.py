"""Actors that die again and again while apps ask: no request fails, and every count is right in the end.

The counts are the daemon's statistics, its budgets and its ledger; what they are held against is the provider's own.
"""

from __future__ import annotations

import logging
from typing import Any

import pytest

import modelmesh
from meshd import messages
from meshd.config import MeshConfig
from meshd.mesh import ModelMesh
from tests.support.daemons.stress.dying import (
    PRICING,
    Load,
    kill,
    poisonous,
    price,
    restarts_of,
    stream,
    unary,
    under_load,
)

OTHERS = ("telemetry", "secret", "state", "config", "health", "discovery")
LIMITED = {"daily_limit": 1000}  # USD
MODELS = ("one.a", "two.b")


def config(server: Any) -> dict[str, Any]:
    provider = {"budget": LIMITED, "pricing": PRICING}
    return {
        "providers": {"one": server.provider(**provider), "two": server.provider(**provider)},
        "models": {
            id: {"provider": id[:3], "model": id[4:], "capabilities": ["chat-completion"], "budget": LIMITED}
            for id in MODELS
        },
        "pools": {"chat": {"models": list(MODELS), "strategy": "modelmesh.round-robin.v1", "budget": LIMITED}},
        "apps": {"default": {"budget": LIMITED}},
        "observability": {
            "routing": {"connector": "modelmesh.null.v1"},
            "logging": {"connector": "modelmesh.null.v1"},
            "statistics": {"flush_interval": "1s"},
        },
        "storage": {"sync_interval": "100ms"},
    }


@pytest.fixture
def mesh(short, monkeypatch, upstream):
    poisonous(monkeypatch)
    monkeypatch.setenv("XDG_DATA_HOME", str(short / "data"))
    logging.getLogger("meshd").setLevel(logging.CRITICAL)
    server = upstream([{"tokens": ["one ", "two ", "three"]}])
    with ModelMesh(sockets=[messages.Listen(f"ipc://{short}/s")], state_dir=short / "state") as mesh:
        mesh.initialize(MeshConfig.from_dict(config(server)))
        mesh.server = server
        yield mesh
    logging.getLogger("meshd").setLevel(logging.NOTSET)


def statistics(mesh: Any, scope: str) -> dict[str, Any]:
    """name → (requests, failed, tokens in, tokens out, cost)."""
    rows = mesh.command("GET", "/mesh/v1/stats", query={"by": scope})["data"]
    names = ("requests_total", "requests_failed", "tokens_in", "tokens_out")
    return {row["name"]: (*(row[name] for name in names), round(row["cost_total"] * 1e9)) for row in rows}


def every_count_is_right(mesh: Any, load: Load, eventually: Any) -> None:
    delivered = mesh.server.served["delivered"]
    by_model = {
        id: (
            delivered[id[4:]]["requests"],
            delivered[id[4:]]["prompt_tokens"],
            delivered[id[4:]]["completion_tokens"],
        )
        for id in MODELS
    }
    costs = {id: price(tokens_in, tokens_out) for id, (_, tokens_in, tokens_out) in by_model.items()}
    total = tuple(map(sum, zip(*by_model.values(), strict=True)))
    cost = sum(costs.values())
    assert sum(load.answers.values()) == total[0] == mesh.server.served["served"]

    def expected(id: str) -> tuple[int, ...]:
        requests, *tokens = by_model[id]
        return (requests, 0, *tokens, costs[id])

    assert statistics(mesh, "model") == {id: expected(id) for id in MODELS}
    assert statistics(mesh, "provider") == {id[:3]: expected(id) for id in MODELS}
    whole = (total[0], 0, *total[1:], cost)
    assert statistics(mesh, "pool") == {"chat": whole}
    assert list(statistics(mesh, "app").values()) == [whole]

    spent = {"provider": {"one": costs["one.a"], "two": costs["two.b"]}, "model": costs, "pool": {"chat": cost}}
    spent["app"] = {"default": cost}
    for row in mesh.command("GET", "/mesh/v1/budget")["data"]:
        assert round(row["spent"] * 1e9) == spent[row["scope"]][row["name"]], row
        assert row["reserved"] == 0, row
    for model in mesh.command("GET", "/mesh/v1/models")["data"]:
        assert (model["requests"], model["in_flight"]) == (by_model[model["id"]][0], 0)

    usage = mesh.export_state()["usage"]
    kept: dict[str, dict[str, int]] = {}
    for key, sums in usage.items():
        _, scope, name = key.split("\0", 2)
        of_scope = kept.setdefault(scope, {})
        of_scope[name] = of_scope.get(name, 0) + sums["cost"]
    kept.pop("member")
    assert kept == spent
    eventually(lambda: mesh.command("GET", "/mesh/v1/status")["state"]["ok"])


def die(mesh: Any, short: Any, eventually: Any, name: str, times: int) -> int:
    """How many requests there were."""
    apps = {"unary": (unary, 3), "stream": (stream, 2)}
    with under_load(lambda: modelmesh.OpenAIClient(short / "s", timeout=30, max_retries=0), apps) as load:
        for _ in range(times):
            so_far = load.total
            kill(mesh, name, eventually)
            eventually(lambda so_far=so_far: load.total > so_far, what="requests go on")
    assert load.errors == []
    assert restarts_of(mesh, name) == times
    every_count_is_right(mesh, load, eventually)
    return load.total


@pytest.mark.parametrize("name", OTHERS)
def test_an_actor_that_dies_fails_no_request_and_loses_no_count(mesh, short, eventually, name):
    assert die(mesh, short, eventually, name, 5)


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", OTHERS)
def test_an_actor_that_dies_a_hundred_times_fails_no_request_and_loses_no_count(mesh, short, eventually, name):
    print(f"{name}: died 100 times, {die(mesh, short, eventually, name, 100)} requests, none failed")


def test_all_of_them_at_once(mesh, short, eventually):
    apps = {"unary": (unary, 3), "stream": (stream, 2)}
    with under_load(lambda: modelmesh.OpenAIClient(short / "s", timeout=30, max_retries=0), apps) as load:
        for _ in range(3):
            for name in OTHERS:
                kill(mesh, name, eventually)
    assert load.errors == []
    every_count_is_right(mesh, load, eventually)
