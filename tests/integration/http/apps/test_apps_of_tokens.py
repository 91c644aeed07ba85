"""Apps that have a token and no entry: each has the limits of `default` for itself, and sees nothing of another."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx
import pytest

from tests.support.apps.spending import QUIET
from tests.support.waiting import WAIT

APPS = ("one", "two")


@pytest.fixture(scope="module")
def daemon(module_meshd: Any) -> Any:
    tokens = [{"app": app, "hash": hashlib.sha256(f"token {app}".encode()).hexdigest()} for app in APPS]
    return module_meshd(
        {
            "providers": {"echo": {"connector": "modelmesh.scripted.v1", "script": [{"echo": True}]}},
            "models": {"m": {"provider": "echo", "pricing": {"per_request": 1}}},
            "pools": {"chat": {"models": ["m"]}},
            "apps": {"default": {"budget": {"daily_limit": 2}, "rate_limit": {"rpm": 3}}},
            "proxy": {"enabled": True, "port": "auto", "auth": {"method": "bearer", "tokens": tokens}},
            **QUIET,
        }
    )


def holder(daemon: Any, app: str) -> httpx.Client:
    url = daemon.status()["http"]["addresses"][0]
    return httpx.Client(base_url=url, headers={"authorization": f"Bearer token {app}"}, timeout=WAIT)


def asks(client: httpx.Client) -> int:
    body = {"model": "chat", "messages": [{"role": "user", "content": "hi"}]}
    return client.post("/v1/chat/completions", json=body).status_code


def test_none_spends_what_is_anothers(daemon: Any) -> None:
    with holder(daemon, "one") as one, holder(daemon, "two") as two:
        assert [asks(one) for _ in range(3)] == [200, 200, 402]
        assert asks(two) == 200
        spent = {
            app: [(row["name"], row["spent"]) for row in client.get("/mesh/v1/budget").json()["data"]]
            for app, client in (("one", one), ("two", two))
        }
        assert spent == {"one": [("one", 2.0)], "two": [("two", 1.0)]}
        rows = two.get("/mesh/v1/apps").json()["data"]
        assert [(row["name"], row["account"], row["requests"]) for row in rows] == [("two", "two", 1)]
    assert daemon.say(model="chat")  # the daemon's own user spends what `default` has


def test_an_operator_sees_each(daemon: Any) -> None:
    rows = daemon.ask("GET", "/mesh/v1/apps")["data"]
    assert [row["name"] for row in rows][:3] == [*APPS, "default"]
    for row in rows[:2]:
        limits = [each["limit"] for each in row["budget"]]
        assert (row["account"], row["configured"], limits) == (row["name"], False, [2.0])
    found = daemon.ask("POST", "/mesh/v1/explain", {"model": "chat", "app": "one"})
    assert found["app"]["account"] == "one"
