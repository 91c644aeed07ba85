"""2,000 requests around a midnight of the daemon's own clock, a third of which go wrong: each day keeps to its budget.

The timezone's midnight is made to be seconds away (`tests/support/daemons/clocks/midnight.py`); nothing else is
pretended.
"""

from __future__ import annotations

import datetime
import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.support.apps.spending import NANO, PRICING, QUIET, NoRoom, budgets, journal, price, usage, usd
from tests.support.daemons.clocks.midnight import zone_with_midnight_in

MANY = 2000
AROUND = 1.5  # s before and after midnight
FITS = 137
CHUNKS = 6
ZONE = "Test/Midnight"
KINDS = ("whole", "cut", "torn", "silent", "failing", "unheard")
BODY = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": CHUNKS}
NEVER_CAME = {"prompt_tokens": 0, "completion_tokens": 0}


def config(server: Any, limit: int, timezone: str = "UTC") -> dict[str, Any]:
    """A pool for each way to go wrong; the budget is everybody's."""
    rule = {
        "deactivation": {"retry_limit": 1_000_000},
        "retry": {"max_attempts": 1},
        "stream": {"on_failure": "terminate"},
        "provider_deactivation": [],
        "on_budget_exceeded": "error",
    }
    return {
        **QUIET,
        "daemon": {"timezone": timezone, "max_inflight": 4096},
        "providers": {"paid": {**server.provider(connection_pool={"max_connections": 512}), "budget": budget(limit)}},
        "models": {
            f"paid.{kind}": {"provider": "paid", "capabilities": ["chat-completion"], "pricing": PRICING}
            for kind in KINDS
        },
        "pools": {kind: {"models": [f"paid.{kind}"], **rule} for kind in KINDS},
        "apps": {"tests": {"match": {"uid": os.getuid()}, "admin": True, "budget": budget(2 * limit)}},
    }


def budget(limit: int) -> dict[str, Any]:
    return {"daily_limit": usd(limit), "monthly_limit": usd(10 * limit)}


def script(prompt_tokens: int) -> dict[str, Any]:
    """Answers take about half a second, so that many are under way at midnight."""
    whole = {
        "tokens": [f"{number} " for number in range(CHUNKS)],
        "usage": {"prompt_tokens": prompt_tokens},
        "running_usage": True,
        "delay": "100ms",
        "chunk_delay": "80ms",
    }
    return {
        "script": {
            "whole": [whole],
            "cut": [whole | {"fault": "clean_close", "after": 2}],
            "torn": [whole | {"fault": "cut_chunk", "after": 4}],
            "silent": [whole | {"fault": "silence", "after": 3}],  # the app leaves it there
            "failing": [{"error": 500, "delay": "300ms"}],
            "unheard": [{"fault": "timeout"}],  # and this one before there is anything
        }
    }


def send(apps: NoRoom, kind: str, chance: random.Random) -> None:
    cancel = {"silent": 3, "unheard": 0 if chance.random() < 0.2 else None}.get(kind)
    stream = kind in ("cut", "torn", "silent") or (kind != "unheard" and chance.random() < 0.5)
    apps.send({**BODY, "model": kind}, stream=stream, kind=kind, cancel_after=cancel)


def schedule(chance: random.Random, midnight: float, many: int, fits: int) -> list[float]:
    """When each is sent: the day's budget is all but used up when a crowd comes, just before midnight and after."""
    before = [midnight + chance.uniform(-AROUND, -0.3) for _ in range(fits * 3 // 4)]
    rush = [midnight + chance.uniform(-0.3, 0.0) for _ in range((many - len(before)) // 2)]
    after = [midnight + chance.uniform(0.0, AROUND) for _ in range(many - len(before) - len(rush))]
    return sorted(before + rush + after)


def spread(apps: NoRoom, chance: random.Random, times: list[float]) -> None:
    """Send one at each of the times; 30 % of them go wrong."""
    assert time.time() < times[0], "too late: the daemon took too long to reload"
    for at, kind in zip(times, chance.choices(KINDS, (70, 6, 6, 6, 6, 6), k=len(times)), strict=True):
        while time.time() < at:
            apps.answers(at - time.time())
        send(apps, kind, chance)
        leave_unheard(apps)
    gather(apps)


def gather(apps: NoRoom) -> None:
    deadline = time.monotonic() + 20
    while apps.open:
        apps.answers(0.05)
        leave_unheard(apps)
        assert time.monotonic() < deadline, f"{apps.open} have no answer"


def use_up(apps: NoRoom) -> None:
    """What was given back after the last request had been refused is used too."""
    refused = False
    while not refused:
        asks = [apps.send({**BODY, "model": "whole"}, kind="whole") for _ in range(50)]
        gather(apps)
        refused = any(ask.status == 402 for ask in asks)


def leave_unheard(apps: NoRoom) -> None:
    """The apps whose provider says nothing give up after half a second."""
    for ask in apps.waiting("unheard"):
        if time.time() - ask.sent_at > 0.5:
            apps.cancel(ask)


def check(meshd: Any, upstream: Any, dial: Any, eventually: Any, short: Path, seed: int, many: int, fits: int) -> None:
    chance, server, zones = random.Random(seed), upstream(), short / "zones"
    daemon = meshd(config(server, NANO), env={"PYTHONTZPATH": str(zones)})
    asked = {**BODY, "model": "whole", "user": "0" * 32}
    [held] = daemon.ask("POST", "/mesh/v1/explain", asked)["candidates"]
    prompt_tokens = held["reservation"]["tokens_in"]
    cost = price(prompt_tokens, CHUNKS)
    limit = fits * cost
    assert round(held["reservation"]["cost"] * NANO) == cost  # what is reserved is what a whole answer costs
    server.play(script(prompt_tokens))
    midnight = zone_with_midnight_in(AROUND + 1.0, zones)
    daemon.write(config(server, limit, ZONE))
    daemon.ask("POST", "/mesh/v1/reload")
    apps = NoRoom([dial(daemon.socket) for _ in range(4)])
    spread(apps, chance, schedule(chance, midnight, many, fits))
    use_up(apps)
    assert set(apps.statuses()) <= {200, 402, 499, 500, 502}
    eventually(lambda: server.served["open"] == 0)
    rows = budgets(daemon, window="day")
    assert [row["reserved"] for row in rows] == [0, 0]
    assert all(row["resets_at"] == midnight + 86400 for row in rows)
    days = by_request(daemon, server, apps, Days(zones / ZONE, midnight))
    assert all(spent <= limit for _, spent in days.values()), days
    (_, spent) = days[max(days)]
    assert {row["spent"] for row in rows} == {spent}
    assert spent > limit - cost
    assert daemon.stop() == 0
    kept = usage(daemon.state, "provider", "paid")
    assert {day: (requests, spent) for day, (requests, _, spent) in kept.items()} == days


class Days:
    def __init__(self, zone: Path, midnight: float) -> None:
        with zone.open("rb") as file:
            self._zone = ZoneInfo.from_file(file)
        self.midnight = midnight
        self.both = {self.of(midnight - 1), self.of(midnight)}

    def of(self, at: float) -> str:
        return datetime.datetime.fromtimestamp(at, self._zone).date().isoformat()


def by_request(daemon: Any, server: Any, apps: NoRoom, days: Days) -> dict[str, tuple[int, int]]:
    """Day → requests and cost, by the journal, where each request's is as the provider's own count has it."""
    begun, settled = journal(daemon.state)
    assert [(apps.asks[key[0]], begun[key]) for key in set(begun) - set(settled)] == []
    requests: Counter[str] = Counter()
    spent: Counter[str] = Counter()
    over_midnight = 0
    billed = {bytes.fromhex(row["user"]): row for row in server.bill}
    assert set(billed) <= {request for request, _ in begun}
    for key, begin in begun.items():
        settle, row, kind = settled[key], billed.get(key[0], NEVER_CAME), apps.asks[key[0]].kind
        charged = price(row["prompt_tokens"], row["completion_tokens"])
        if charged or kind == "failing":
            assert settle.cost == charged, (kind, row)
        else:
            assert kind == "unheard"
            assert 0 < settle.cost <= begin.reserved  # the cost is not reported
        # It is written down a moment after it was reserved.
        assert begin.day in (days.of(begin.at), days.of(begin.at - 0.5))
        over_midnight += begin.at < days.midnight <= settle.at
        requests[begin.day] += 1
        spent[begin.day] += settle.cost
    assert set(spent) == days.both
    assert over_midnight > 0
    return {day: (requests[day], spent[day]) for day in days.both}


def test_each_day_keeps_to_its_budget_over_midnight(meshd, upstream, dial, eventually, short):
    check(meshd, upstream, dial, eventually, short, 1, 600, 60)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_2000_requests_over_midnight(meshd, upstream, dial, eventually, short, seed):
    check(meshd, upstream, dial, eventually, short, seed, MANY, FITS)
