"""A budget that pays for exactly 137 of 2,000 requests that come at once: 137 are paid for, to the nano-dollar."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.apps.spending import NANO, PRICING, QUIET, NoRoom, budgets, delivered, price, usage, usd

FITS = 137
MANY = 2000
OUTPUT_TOKENS = 6
ASKED = {"model": "chat", "messages": [{"role": "user", "content": "hello"}], "max_tokens": OUTPUT_TOKENS}

BUDGETS = ("provider", "model", "pool", "app")
OTHERS = ("requests", "tokens", "request_limit", "token_limit", "budget_limit")
SECTIONS = {"provider": ("providers", "paid"), "model": ("models", "paid.m"), "pool": ("pools", "chat")}
ROWS = {
    "provider": {"scope": "provider", "name": "paid"},
    "model": {"scope": "model", "name": "paid.m"},
    "pool": {"scope": "pool", "name": "chat"},
    "app": {"scope": "app", "name": "tests"},
    "requests": {"scope": "provider", "measure": "requests"},
    "tokens": {"scope": "provider", "measure": "tokens"},
    "request_limit": {"scope": "member", "measure": "requests", "name": "paid.m"},
    "token_limit": {"scope": "member", "measure": "tokens", "name": "paid.m"},
    "budget_limit": {"scope": "member", "measure": "cost", "name": "paid.m"},
}


def config(server: Any, *, spare: bool = False, on_budget_exceeded: str = "rotate") -> dict[str, Any]:
    """spare: a free model takes what the paid one may not."""
    models = ["paid.m", "free.f"] if spare else ["paid.m"]
    return {
        **QUIET,
        "daemon": {"max_inflight": 4096},
        "providers": {"paid": server.provider(), "free": server.provider()},
        "models": {
            "paid.m": {"provider": "paid", "capabilities": ["chat-completion"], "pricing": PRICING},
            "free.f": {
                "provider": "free",
                "capabilities": ["chat-completion"],
                "pricing": {"input_per_1m": 0, "output_per_1m": 0},
            },
        },
        "pools": {
            "chat": {
                "models": models,
                "strategy": "priority-selection",
                "model_priority": models,
                "on_budget_exceeded": on_budget_exceeded,
            }
        },
        "apps": {"tests": {"match": {"uid": os.getuid()}, "admin": True}},
    }


def limited(raw: dict[str, Any], by: str, cost: int, tokens: int, fits: int = FITS) -> dict[str, Any]:
    """The configuration with a limit of what `fits` requests use."""
    if by in BUDGETS:
        section, name = SECTIONS.get(by, ("apps", "tests"))
        raw[section][name]["budget"] = {"daily_limit": usd(fits * cost)}
    elif by in ("requests", "tokens"):
        raw["providers"]["paid"]["quota"] = {by: fits * (1 if by == "requests" else tokens)}
    else:
        amount = {"request_limit": fits, "token_limit": fits * tokens, "budget_limit": usd(fits * cost)}[by]
        raw["pools"]["chat"]["deactivation"] = {by: amount, "quota_window": "daily"}
    return raw


def reserved_for(daemon: Any) -> dict[str, Any]:
    """What one of the requests reserves of the paid model."""
    candidates = daemon.ask("POST", "/mesh/v1/explain", {**ASKED, "user": "0" * 32})["candidates"]
    return next(each for each in candidates if each["model"] == "paid.m")["reservation"]


def no_room(daemon: Any, dial: Any, many: int) -> NoRoom:
    """All of them sent, before anybody waits for an answer."""
    found = NoRoom([dial(daemon.socket) for _ in range(4)])
    for _ in range(many):
        found.send(ASKED)
    return found


def stands(daemon: Any, by: str, fits: int, cost: int, tokens: int) -> None:
    """The limit, as `meshctl budget` shows it: used to the last bit, nothing held."""
    [row] = budgets(daemon, **ROWS[by])
    amount = {"cost": fits * cost, "tokens": fits * tokens, "requests": fits}[row["measure"]]
    assert (row["limit"], row["spent"], row["reserved"], row["remaining"]) == (amount, amount, 0, 0)


def begin(
    meshd: Any, upstream: Any, raw: Callable[[Any], dict[str, Any]], output: int = OUTPUT_TOKENS
) -> tuple[Any, Any, int]:
    """A provider that charges for the input what is reserved for it, and for `output` tokens; a daemon without
    limits yet; the tokens of the input."""
    server = upstream()
    daemon = meshd(raw(server))
    held = reserved_for(daemon)
    assert round(held["cost"] * NANO) == price(held["tokens_in"], OUTPUT_TOKENS)
    answer = {"tokens": ["a "] * output, "usage": {"prompt_tokens": held["tokens_in"]}, "delay": "300ms"}
    server.play({"script": [answer], "models": ["m", "f"]})
    return server, daemon, held["tokens_in"]


def limit(daemon: Any, raw: dict[str, Any]) -> None:
    daemon.write(raw)
    daemon.ask("POST", "/mesh/v1/reload")


def check(meshd: Any, upstream: Any, dial: Any, by: str, way: str, many: int, fits: int) -> None:
    """way: how requests that do not fit end: `error`, `refuse` (no model to rotate to) or `rotate`."""
    spare = way == "rotate"

    def raw(server: Any) -> dict[str, Any]:
        return config(server, spare=spare, on_budget_exceeded="error" if way == "error" else "rotate")

    server, daemon, tokens_in = begin(meshd, upstream, raw)
    tokens, cost = tokens_in + OUTPUT_TOKENS, price(tokens_in, OUTPUT_TOKENS)
    limit(daemon, limited(raw(server), by, cost, tokens, fits))
    apps = no_room(daemon, dial, many)
    apps.gather(40)
    assert apps.statuses() == ({200: many} if spare else {200: fits, 402 if by in BUDGETS else 503: many - fits})
    if by in BUDGETS:
        codes = {ask.error["code"] for ask in apps.asks.values() if ask.status != 200}
        assert codes == (set() if spare else {"budget_exceeded"})
    assert server.served["by_model"] == ({"m": fits, "f": many - fits} if spare else {"m": fits})
    assert delivered(server) == fits * cost
    stands(daemon, by, fits, cost, tokens)
    assert daemon.stop() == 0
    assert list(usage(daemon.state, "model", "paid.m").values()) == [(fits, fits * tokens, fits * cost)]


@pytest.mark.parametrize("way", ["error", "rotate"])
def test_2000_requests_on_a_budget_for_137(meshd, upstream, dial, way):
    check(meshd, upstream, dial, "provider", way, MANY, FITS)


CASES = [
    (by, way)
    for by in (*BUDGETS, *OTHERS)
    for way in ("refuse", "rotate")
    # These rules hold for each member by itself, also for one that is free.
    if (by, way) not in (("request_limit", "rotate"), ("token_limit", "rotate"))
]


@pytest.mark.parametrize(("by", "way"), CASES)
def test_every_scope_and_measure(meshd, upstream, dial, by, way):
    check(meshd, upstream, dial, by, way, 200, 37)


@pytest.mark.soak
@pytest.mark.parametrize("run", range(3))
@pytest.mark.parametrize(("by", "way"), CASES)
def test_2000_requests_in_every_scope_and_measure(meshd, upstream, dial, by, way, run):
    check(meshd, upstream, dial, by, way, MANY, FITS)


def test_all_scopes_at_once(meshd, upstream, dial):
    """What one limit refuses is not reserved in another."""
    server, daemon, tokens_in = begin(meshd, upstream, config)
    tokens, cost = tokens_in + OUTPUT_TOKENS, price(tokens_in, OUTPUT_TOKENS)
    raw = config(server)
    for by, fits in {"provider": 300, "model": FITS, "pool": 250, "app": 200, "requests": 180, "tokens": 170}.items():
        limited(raw, by, cost, tokens, fits)
    limit(daemon, raw)
    apps = no_room(daemon, dial, MANY)
    apps.gather(40)
    assert apps.statuses() == {200: FITS, 402: MANY - FITS}
    assert delivered(server) == FITS * cost
    rows = budgets(daemon, measure="cost")
    assert [row["spent"] for row in rows] == [FITS * cost] * 4
    assert {row["reserved"] for row in budgets(daemon)} == {0}


def test_more_is_reserved_than_is_used(meshd, upstream, dial):
    """Requests that are refused while others reserve more than they will use come again, until nothing is reserved."""
    used = 2
    server, daemon, tokens_in = begin(meshd, upstream, config, used)
    cost, held = price(tokens_in, used), price(tokens_in, OUTPUT_TOKENS)
    raw = config(server, on_budget_exceeded="error")
    # The last one fits with all it may cost, and after it none does.
    raw["providers"]["paid"]["budget"] = {"daily_limit": usd((FITS - 1) * cost + held)}
    limit(daemon, raw)
    apps = no_room(daemon, dial, MANY)
    again = MANY
    while again:
        apps.gather(40)
        refused = [ask for ask in list(apps.asks.values())[-again:] if ask.status == 402]
        again = len(refused) if any(ask.mesh["extra"]["reserved"] for ask in refused) else 0
        for _ in range(again):
            apps.send(ASKED)
    assert apps.statuses()[200] == FITS
    assert set(apps.statuses()) == {200, 402}
    assert server.served["by_model"] == {"m": FITS}
    assert delivered(server) == FITS * cost
    [row] = budgets(daemon)
    assert (row["spent"], row["reserved"]) == (FITS * cost, 0)
    assert row["remaining"] < held
