"""`kill -9` of a daemon that spends: what its next life knows is never less than what the provider delivered.

Apps go on over all lives, as they do. After each kill the database is looked at as it lies there; after each start,
once the apps have paused, nothing is reserved any more, and what is spent covers the provider's own count.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelmesh import BudgetExceededError, MeshError
from tests.support.apps.spending import PRICING, QUIET, budgets, delivered, integrity, journal, price, usage, usd

APPS = 8
CHUNKS = 6
DEADLINE = 10.0  # s
KINDS = ("whole", "cut", "silent", "failing", "few")
BODY = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": CHUNKS}
PROMPT = 200
PLENTY = 10**12
FEW = 40 * price(PROMPT, CHUNKS)


def config(server: Any) -> dict[str, Any]:
    """`few` has a budget that is soon used up; the others' is never."""
    rule = {
        "deactivation": {"retry_limit": 1_000_000},
        "retry": {"max_attempts": 1},
        "stream": {"on_failure": "terminate"},
        "provider_deactivation": [],
        "on_budget_exceeded": "error",
    }
    models = {
        f"paid.{kind}": {"provider": "paid", "capabilities": ["chat-completion"], "pricing": PRICING} for kind in KINDS
    }
    models["paid.few"]["budget"] = {"monthly_limit": usd(FEW)}
    return {
        **QUIET,
        "storage": {"sync_interval": "100ms"},
        "providers": {"paid": {**server.provider(), "budget": {"monthly_limit": usd(PLENTY)}}},
        "models": models,
        "pools": {kind: {"models": [f"paid.{kind}"], **rule} for kind in KINDS},
        "apps": {"tests": {"match": {"uid": os.getuid()}, "admin": True, "budget": {"monthly_limit": usd(PLENTY)}}},
    }


def script() -> dict[str, Any]:
    whole = {
        "tokens": [f"{number} " for number in range(CHUNKS)],
        "usage": {"prompt_tokens": PROMPT},
        "running_usage": True,
        "delay": "20ms",
        "chunk_delay": "10ms",
    }
    return {
        "script": {
            "whole": [whole],
            "cut": [whole | {"fault": "clean_close", "after": 3}],
            "silent": [whole | {"fault": "silence", "after": 2}],  # the app leaves it there
            "failing": [{"error": 500, "delay": "20ms"}],
            "few": [whole],
        }
    }


class Apps:
    """Threads that ask without end; `pause` waits until none has a request under way."""

    def __init__(self, daemon: Any, seed: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self._done = False
        self._paused = True
        self._under_way = 0
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._app, args=(daemon.client(timeout=DEADLINE), random.Random(seed + number)))
            for number in range(APPS)
        ]
        for thread in self._threads:
            thread.start()

    def resume(self) -> None:
        with self._changed:
            self._paused = False
            self._changed.notify_all()

    def pause(self) -> None:
        """Raises AssertionError where a request goes on after its deadline."""
        with self._changed:
            self._paused = True
            idle = self._changed.wait_for(lambda: not self._under_way, DEADLINE + 5)
        assert idle, "a request goes on after its deadline"

    def stop(self) -> None:
        self._done = True
        self.resume()
        for thread in self._threads:
            thread.join(DEADLINE + 5)
            assert not thread.is_alive()

    def _app(self, client: Any, chance: random.Random) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: not self._paused)
                if self._done:
                    return
                self._under_way += 1
            outcome = self._ask(client, chance)
            with self._changed:
                self.outcomes[outcome] += 1
                self._under_way -= 1
                self._changed.notify_all()

    @staticmethod
    def _ask(client: Any, chance: random.Random) -> str:
        kind = chance.choices(KINDS, (50, 15, 15, 10, 10))[0]
        stream = kind in ("cut", "silent") or chance.random() < 0.5
        try:
            answer = client.chat.completions.create(model=kind, stream=stream, **BODY)
            for number, _ in enumerate(answer if stream else (), 1):
                if kind == "silent" and number == 2:
                    answer.close()
                    return "left"
        except MeshError as error:
            return str(error.code)
        return "ok"


def started(daemon: Any, chance: random.Random) -> int:
    """How often it was killed before it answered, or while it took up what the last life left."""
    kills = 0
    while chance.random() < 0.15:
        daemon.spawn()
        time.sleep(chance.uniform(0.0, 1.2))
        daemon.kill()
        kills += 1
    daemon.start()
    return kills


def check(meshd: Any, upstream: Any, short: Path, kills: int, seed: int) -> dict[str, Any]:
    chance, server = random.Random(seed), upstream()
    server.play(script())
    daemon = meshd(config(server), start=False)
    daemon.start()
    [held] = daemon.ask("POST", "/mesh/v1/explain", {**BODY, "model": "whole"})["candidates"]
    assert held["reservation"]["tokens_in"] >= PROMPT
    most = APPS * price(held["reservation"]["tokens_in"], CHUNKS)  # that is open when it is killed
    apps = Apps(daemon, seed)
    killed = 0
    try:
        while killed < kills:
            apps.resume()
            time.sleep(chance.uniform(0.02, 0.6))
            known_before = covers(daemon, server, chance)
            daemon.kill()
            assert integrity(daemon.state, short / "copy") == "ok"
            killed += 1 + started(daemon, chance)
            apps.pause()
            settled = {row["name"]: row for row in budgets(daemon)}
            assert {row["reserved"] for row in settled.values()} == {0}
            served = sum(delivered(server, kind) for kind in KINDS)
            for name in ("paid", "tests"):
                assert max(served, known_before) <= settled[name]["spent"] <= served + killed * most, (killed, name)
            assert delivered(server, "few") <= settled["paid.few"]["spent"] <= FEW
    finally:
        apps.stop()
    with pytest.raises(BudgetExceededError):
        use_up(daemon)
    served = {kind: delivered(server, kind) for kind in KINDS}
    assert served["few"] <= FEW
    rows = budgets(daemon, name="paid")
    assert daemon.stop() == 0
    begun, ended = journal(daemon.state)
    assert set(begun) <= set(ended)
    [(requests, _, spent)] = usage(daemon.state, "provider", "paid").values()
    assert spent == rows[0]["spent"] >= sum(served.values())
    return {
        "kills": killed,
        "outcomes": dict(apps.outcomes),
        "requests": requests,
        "served": sum(served.values()) / 1e9,
        "spent": spent / 1e9,
        "few": served["few"] / FEW,
    }


def use_up(daemon: Any) -> None:
    for _ in range(2 * FEW // price(PROMPT, CHUNKS)):
        daemon.say(model="few", max_tokens=CHUNKS)


def covers(daemon: Any, server: Any, chance: random.Random) -> int:
    """Under load: what is spent or reserved covers what has been delivered. What is spent by now."""
    if chance.random() < 0.5:
        return 0
    served = sum(delivered(server, kind) for kind in KINDS)
    [row] = budgets(daemon, name="paid")
    assert row["spent"] + row["reserved"] >= served
    return int(row["spent"])


def test_spend_is_never_less_than_was_delivered(meshd, upstream, short):
    check(meshd, upstream, short, 6, 1)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_200_kills(meshd, upstream, short, capsys: Callable[..., Any]):
    found = check(meshd, upstream, short, 200, 2)
    with capsys.disabled():
        print(f"\n{found}")
