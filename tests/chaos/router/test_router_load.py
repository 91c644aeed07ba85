"""The router dies while requests wait, race, share an answer, stream: what was at a provider is lost with a clear error
and settled, everything else is answered by the next life.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import modelmesh
from meshd import messages
from meshd.config import MeshConfig
from meshd.mesh import ModelMesh
from tests.support.daemons.stress.dying import PRICING, kill, poisonous, price, restarts_of, under_load

LIMITED = {"daily_limit": 1000}  # USD
WORDS = ["one ", "two ", "three"]
POOLS = {
    "plain": {"models": ["fast.a"]},
    "crowded": {"models": ["narrow.b"]},
    "hedged": {"models": ["late.c", "later.d"], "hedge": {"after": "30ms"}},
    "cached": {"models": ["fast.e"], "cache": {"ttl": "1h"}},
}


def config(server: Any) -> dict[str, Any]:
    provider = {"budget": LIMITED, "pricing": PRICING}
    models = sorted({id for pool in POOLS.values() for id in pool["models"]})
    return {
        "providers": {
            "fast": server.provider(**provider),
            "narrow": server.provider(**provider, rate_limit={"concurrency": 1}),
            "late": server.provider(**provider),
            "later": server.provider(**provider),
        },
        "models": {id: {"model": id[-1], "provider": id[:-2], "capabilities": ["chat-completion"]} for id in models},
        "pools": {name: {**pool, "budget": LIMITED, "retry": {"max_attempts": 1}} for name, pool in POOLS.items()},
        "discovery": {"health": {"enabled": False}},
        "observability": {"routing": {"connector": "modelmesh.null.v1"}, "logging": {"connector": "modelmesh.null.v1"}},
        "storage": {"sync_interval": "100ms"},
    }


@pytest.fixture
def start(short, monkeypatch, upstream):
    """`start(script)`: (mesh, server), with a script for each model, "a" … "e"."""
    poisonous(monkeypatch)
    monkeypatch.setenv("XDG_DATA_HOME", str(short / "data"))
    logging.getLogger("meshd").setLevel(logging.CRITICAL)
    meshes = []

    def begin(**steps: Any) -> tuple[Any, Any]:
        server = upstream({"script": {name: steps.get(name, [{"tokens": WORDS}]) for name in "abcde"}})
        mesh = ModelMesh(sockets=[messages.Listen(f"ipc://{short}/s")], state_dir=short / "state")
        meshes.append(mesh)
        mesh.initialize(MeshConfig.from_dict(config(server)))
        return mesh, server

    yield begin
    for mesh in meshes:
        mesh.shutdown(drain=0.0)
    logging.getLogger("meshd").setLevel(logging.NOTSET)


class Asked:
    """One request in a thread of its own: `answer`, or the `error` it ended with."""

    def __init__(self, client: Any, model: str, **options: Any) -> None:
        self.answer: Any = None
        self.error: Any = None
        self.pieces: list[str] = []
        self.thread = threading.Thread(target=self._ask, args=(client, model, options))
        self.thread.start()

    def _ask(self, client: Any, model: str, options: Any) -> None:
        try:
            answer = client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": "hi"}], **options
            )  # fmt: skip
            if options.get("stream"):
                for chunk in answer:
                    self.pieces += [choice.delta.content or "" for choice in chunk.choices]
            self.answer = answer
        except modelmesh.MeshError as error:
            self.error = error

    def result(self) -> Any:
        self.thread.join(30)
        assert not self.thread.is_alive(), "it waits for ever"
        return self


@pytest.fixture
def client(short):
    made = []

    def connect(**options: Any) -> Any:
        made.append(modelmesh.OpenAIClient(short / "s", **{"timeout": 30, "max_retries": 0, **options}))
        return made[-1]

    yield connect
    for each in made:
        each.close()


def waiting(mesh: Any) -> int:
    return int(mesh.command("GET", "/mesh/v1/status")["waiting"])


def everything_is_settled(mesh: Any, server: Any, eventually: Callable[..., Any]) -> int:
    """Nothing is reserved or in flight; what is recorded as spent is what the provider delivered, or more, and the same
    in memory and on the disk. How much that is (10⁻⁹ USD)."""
    eventually(lambda: server.served["open"] == 0, what="the provider is left alone")
    budgets = mesh.command("GET", "/mesh/v1/budget")["data"]
    assert {row["reserved"] for row in budgets} == {0}
    providers = {row["name"]: round(row["spent"] * 1e9) for row in budgets if row["scope"] == "provider"}
    delivered: Counter[str] = Counter()
    by_model = {id[-1]: id[:-2] for pool in POOLS.values() for id in pool["models"]}
    for model, tokens in server.served["delivered"].items():
        delivered[by_model[model]] += price(tokens["prompt_tokens"], tokens["completion_tokens"])
    for name, cost in delivered.items():
        assert providers[name] >= cost, f"{name} delivered more than was recorded"
    models = mesh.command("GET", "/mesh/v1/models")["data"]
    assert {model["in_flight"] for model in models} == {0}
    # A request that is written down and cut off before it has reached its provider counts: over, never under.
    assert sum(model["requests"] for model in models) >= server.served["served"]
    assert waiting(mesh) == 0
    kept: Counter[str] = Counter()
    for key, sums in mesh.export_state()["usage"].items():
        _, scope, name = key.split("\0", 2)
        if scope == "provider":
            kept[name] += sums["cost"]
    assert {name: kept[name] for name in providers} == providers
    return sum(providers.values())


def interrupted(asked: Asked) -> bool:
    error = asked.result().error
    return error is not None and (error.status_code, error.code) == (502, "request_interrupted")


def requests_of(mesh: Any, pool: str) -> tuple[int, int]:
    """(all, failed) by the statistics."""
    rows = mesh.command("GET", "/mesh/v1/stats", query={"by": "pool"})["data"]
    return next(((row["requests_total"], row["requests_failed"]) for row in rows if row["name"] == pool), (0, 0))


def test_a_request_that_waits_at_a_limit_is_answered_by_the_next_life(start, client, eventually):
    mesh, server = start(b=[{"reply": "slow", "delay": 30}, {"tokens": WORDS, "delay": 0.02}])
    holder = Asked(client(), "crowded")
    eventually(lambda: server.served["open"] == 1)
    waiters = [Asked(client(), "crowded", stream=number % 2 == 0) for number in range(6)]
    eventually(lambda: waiting(mesh) == 6)
    kill(mesh, "router", eventually)
    assert interrupted(holder)
    assert [waiter.result().error for waiter in waiters] == [None] * 6
    assert server.served["served"] == 7
    everything_is_settled(mesh, server, eventually)
    assert requests_of(mesh, "crowded") == (7, 1)


def test_a_request_at_two_providers_is_cut_off_once_and_both_are_settled(start, client, eventually):
    slow = [{"reply": "slow", "delay": 30}, {"tokens": WORDS}]
    mesh, server = start(c=slow, d=slow)
    raced = [Asked(client(), "hedged"), Asked(client(), "hedged", stream=True)]
    eventually(lambda: server.served["open"] >= 2)
    kill(mesh, "router", eventually)
    ended = [asked.result() for asked in raced]
    assert all(asked.answer is not None or interrupted(asked) for asked in ended)
    assert any(interrupted(asked) for asked in ended)
    assert Asked(client(), "hedged").result().error is None
    everything_is_settled(mesh, server, eventually)


def test_both_sides_of_a_race_are_at_their_provider_when_the_router_dies(start, client, eventually):
    slow = [{"reply": "slow", "delay": 30}]
    mesh, server = start(c=slow, d=slow)
    raced = Asked(client(), "hedged")
    eventually(lambda: server.served["open"] == 2, what="both are under way")
    kill(mesh, "router", eventually)
    assert interrupted(raced)
    assert everything_is_settled(mesh, server, eventually) > 0  # two prompts were sent
    assert server.served["served"] == 2
    assert requests_of(mesh, "hedged") == (1, 1)


@pytest.mark.parametrize("stream", [False, True])
def test_a_follower_is_answered_by_the_next_life(start, client, eventually, stream):
    mesh, server = start(e=[{"reply": "slow", "delay": 30}, {"tokens": WORDS}])
    options = {"temperature": 0, "stream": stream}
    leader = Asked(client(), "cached", **options)
    eventually(lambda: server.served["open"] == 1)
    followers = [Asked(client(), "cached", **options) for _ in range(4)]
    eventually(lambda: mesh.command("GET", "/mesh/v1/status")["in_flight"] == 5, what="the others follow")
    kill(mesh, "router", eventually)
    assert interrupted(leader)
    for follower in followers:
        found = follower.result()
        assert found.error is None
        text = "".join(found.pieces) if stream else found.answer.choices[0].message.content
        assert text == "one two three"
    assert server.served["served"] == 2
    everything_is_settled(mesh, server, eventually)
    assert requests_of(mesh, "cached") == (5, 1)


def test_a_stream_that_several_share_ends_for_each_with_its_text(start, client, eventually):
    mesh, server = start(e=[{"tokens": WORDS, "fault": "silence", "after": 2}, {"tokens": WORDS}])
    asked = [Asked(client(), "cached", temperature=0, stream=True) for _ in range(3)]
    eventually(lambda: all(len(each.pieces) >= 2 for each in asked))
    kill(mesh, "router", eventually)
    for each in asked:
        error = each.result().error
        assert isinstance(error, modelmesh.StreamInterrupted)
        assert error.text == "one two "
    assert server.served["served"] == 1
    everything_is_settled(mesh, server, eventually)
    assert requests_of(mesh, "cached") == (3, 3)


def test_an_answer_that_is_kept_needs_no_provider_whatever_happens(start, client, eventually):
    mesh, server = start()
    kept = client()
    for times in range(3):
        assert Asked(kept, "cached", temperature=0).result().error is None
        assert Asked(kept, "cached", temperature=0).result().error is None
        assert server.served["served"] == times + 1  # what is kept is kept in memory, of one life
        kill(mesh, "router", eventually)
    everything_is_settled(mesh, server, eventually)


# -- under load --------------------------------------------------------------------------------------------


def asks(pool: str, *, stream: bool = False, **options: Any) -> Callable[[Any, int], str]:
    def ask(client: Any, number: int) -> str:
        messages = [{"role": "user", "content": f"say {number}"}]
        answer = client.chat.completions.create(model=pool, messages=messages, stream=stream, **options)
        if stream:
            text = "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)
        else:
            text = answer.choices[0].message.content
        assert text == "one two three", text
        return pool

    return ask


APPS = {
    "unary": (asks("plain"), 2),
    "stream": (asks("plain", stream=True), 2),
    "waits": (asks("crowded"), 3),
    "waits-stream": (asks("crowded", stream=True), 1),
    "hedged": (asks("hedged"), 2),
    "hedged-stream": (asks("hedged", stream=True), 1),
    "cached": (asks("cached", temperature=0), 3),
    "cached-stream": (asks("cached", temperature=0, stream=True), 2),
}


def die(start: Any, short: Any, eventually: Any, times: int) -> str:
    """How it went, in words."""
    paced = {"tokens": WORDS, "delay": 0.02, "chunk_delay": 0.005}
    later = [{"tokens": WORDS, "delay": 0.1, "times": 3}, {"tokens": WORDS}]
    mesh, server = start(a=[paced], b=[{"tokens": WORDS, "delay": 0.02}], c=later, e=[paced])
    # The hedged models' scripts begin again, so that some of their answers are late again and again.
    with under_load(lambda: modelmesh.OpenAIClient(short / "s", timeout=30, max_retries=0), APPS) as load:
        for _ in range(times):
            so_far = load.total
            eventually(lambda so_far=so_far: load.total > so_far + 20, what="requests go on")
            kill(mesh, "router", eventually)
        so_far = load.total
        eventually(lambda: load.total > so_far + 20)
    at_providers = sum(count for _, count in APPS.values())
    kinds: Counter[str] = Counter()
    for kind, error in load.errors:
        known = isinstance(error, modelmesh.StreamInterrupted) or getattr(error, "code", "") == "request_interrupted"
        assert known, f"{kind}: {error!r}"
        kinds[type(error).__name__] += 1
    assert len(load.errors) <= times * at_providers
    spent = everything_is_settled(mesh, server, eventually)
    assert restarts_of(mesh, "router") == times
    return json.dumps({"died": times, "answered": sum(load.answers.values()), "lost": kinds, "spent": spent})


def test_only_what_was_at_a_provider_is_lost(start, short, eventually):
    assert die(start, short, eventually, 5)


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_only_what_was_at_a_provider_is_lost_a_hundred_times(start, short, eventually):
    print(die(start, short, eventually, 100))
