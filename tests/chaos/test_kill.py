"""`kill -9` of a daemon that spends: what its next life knows is never less than what the provider delivered.

Apps go on over all lives, as they do. After each kill the database is looked at as it lies there; after each start,
once the apps have paused, nothing is reserved any more, and what is spent covers the provider's own count.
"""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from spending import PRICING, QUIET, budgets, delivered, integrity, price, usage, usd

from modelmesh import BudgetExceededError, MeshError

APPS = 8
CHUNKS = 6
DEADLINE = 10.0  # s
KINDS = ("whole", "cut", "failing", "few")
BODY = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": CHUNKS}
PROMPT = 200
RESERVED = price(2000, CHUNKS)  # more than a request here ever reserves
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
        kind = chance.choices(KINDS, (60, 20, 10, 10))[0]
        stream = kind == "cut" or chance.random() < 0.5
        try:
            answer = client.chat.completions.create(model=kind, stream=stream, **BODY)
            if stream:
                for _ in answer:
                    pass
        except MeshError as error:
            return str(error.code)
        return "ok"


def killed(daemon: Any, chance: random.Random) -> None:
    """At any moment: also before it answers, and while it takes up what the last life left."""
    if chance.random() < 0.15:
        daemon.spawn()
        time.sleep(chance.uniform(0.0, 1.2))
        daemon.kill()
    daemon.start()


def check(meshd: Any, upstream: Any, short: Path, kills: int, seed: int) -> dict[str, Any]:
    chance, server = random.Random(seed), upstream()
    server.play(script())
    daemon = meshd(config(server), start=False)
    daemon.start()
    apps = Apps(daemon, seed)
    lives = 0
    try:
        for number in range(kills):
            apps.resume()
            time.sleep(chance.uniform(0.02, 0.8))
            known_before = covers(daemon, server, chance)
            daemon.kill()
            lives += 1
            assert integrity(daemon.state, shutil.copy, short / f"copy{number}") == "ok"
            shutil.rmtree(short / f"copy{number}")
            killed(daemon, chance)
            apps.pause()
            settled = {row["name"]: row for row in budgets(daemon)}
            assert {row["reserved"] for row in settled.values()} == {0}
            served = sum(delivered(server, kind) for kind in KINDS)
            for name in ("paid", "tests"):
                assert settled[name]["spent"] >= served, (number, name)
                assert settled[name]["spent"] >= known_before, (number, name)
                assert settled[name]["spent"] <= served + lives * APPS * RESERVED
            assert delivered(server, "few") <= settled["paid.few"]["spent"] <= FEW
    finally:
        apps.stop()
    with pytest.raises(BudgetExceededError):
        use_up(daemon)
    served = {kind: delivered(server, kind) for kind in KINDS}
    assert served["few"] <= FEW
    rows = budgets(daemon, name="paid")
    assert daemon.stop() == 0
    [(requests, _, spent)] = usage(daemon.state, "provider", "paid").values()
    assert spent == rows[0]["spent"] >= sum(served.values())
    return {
        "kills": kills,
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
