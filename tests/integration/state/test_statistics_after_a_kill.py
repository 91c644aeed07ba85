"""A daemon that is killed: afterwards its statistics say what its budgets say."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import pytest

from modelmesh import MeshError
from tests.support.apps.spending import QUIET
from tests.support.providers.faulty.odd_provider import OddProvider
from tests.support.waiting import until


@pytest.fixture
def odd():
    provider = OddProvider()
    yield provider
    provider.close()


def config(odd: OddProvider, flush: str) -> dict[str, Any]:
    limit = {"budget": {"daily_limit": 100}}
    observability = {**QUIET["observability"], "statistics": {"flush_interval": flush}}
    return {
        "providers": {"odd": {"connector": "openai-compatible.v1", "base_url": odd.url, **limit}},
        "models": {
            "m": {
                "provider": "odd", "model": "m", "pricing": {"input_per_1m": 1, "output_per_1m": 10},
                "constraints": {"context_window": 8000, "max_output_tokens": 1000}, **limit,
            }
        },
        "pools": {"chat": {"models": ["m"], **limit}},
        "discovery": {"health": {"enabled": False}},
        "observability": observability,
        "storage": {"sync_interval": "200ms"},
    }  # fmt: skip


def spent(daemon: Any) -> dict[str, int]:
    rows = daemon.ask("GET", "/mesh/v1/budget")["data"]
    return {row["scope"]: round(row["spent"] * 1e9) for row in rows if row["measure"] == "cost"}


def counted(daemon: Any) -> dict[str, tuple[int, int]]:
    found = {}
    for scope in ("provider", "model", "pool"):
        rows = daemon.ask("GET", f"/mesh/v1/stats?by={scope}")["data"]
        found[scope] = (sum(row["requests_total"] for row in rows), round(sum(row["cost_total"] for row in rows) * 1e9))
    return found


def ask_in_vain(daemon: Any) -> None:
    with contextlib.suppress(MeshError):
        daemon.client(max_retries=0, timeout=20).chat.completions.create(
            model="chat", messages=[{"role": "user", "content": "hi"}]
        )


def leave_one_at_its_provider(daemon: Any, odd: OddProvider) -> None:
    odd.hold.clear()
    before = len(odd.bodies)
    threading.Thread(target=ask_in_vain, args=(daemon,), daemon=True).start()
    until(lambda: len(odd.bodies) > before, what="it is at its provider")


def await_counted(daemon: Any, requests: int) -> None:
    until(lambda: counted(daemon)["pool"][0] >= requests, what="all are counted")


@pytest.mark.parametrize("flush", ["1s", "60s"])
def test_statistics_say_what_budgets_say_after_a_kill(meshd, odd, flush):
    daemon = meshd(config(odd, flush))
    asked = 0
    for life in range(3):
        for _ in range(7):
            daemon.say(model="chat")
        asked += 8
        if life == 1:
            await_counted(daemon, asked - 1)
        leave_one_at_its_provider(daemon, odd)
        daemon.kill()
        odd.hold.set()
        daemon.start()
        await_counted(daemon, asked)
        budget, statistics = spent(daemon), counted(daemon)
        for scope in ("provider", "model", "pool"):
            assert statistics[scope] == (asked, budget[scope]), (scope, life)
    assert daemon.stop() == 0
    daemon.start()
    await_counted(daemon, asked)
    assert counted(daemon)["pool"] == (asked, spent(daemon)["pool"]), "nothing is counted twice"
