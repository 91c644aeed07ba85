"""What the mesh's own operations answer has the keys that docs/protocol.md shows, and no other."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[4] / "docs" / "protocol.md").read_text(encoding="utf-8")
SHAPES = {
    operation: json.loads(block)
    for intro, block in re.findall(r"\n\n(`(?:GET|POST) [^\n]*)\n\n```json\n(.*?)```", PAGE, flags=re.DOTALL)
    for operation in re.findall(r"`((?:GET|POST) /mesh/v1/[^`]*)`", intro)[:1]
}
OPEN = {"details", "config", "ids", "changed", "needs", "last_reload", "error", "match", "group"}
"""Maps whose keys are not fixed (or that are shown elsewhere)."""


def differences(shown, real, where=""):
    """Where a real answer has other keys than the one shown. Lists are compared by their first elements."""
    if isinstance(shown, dict) and isinstance(real, dict):
        if shown.keys() != real.keys():
            yield f"{where}: {sorted(shown.keys() ^ real.keys())}"
        for key in shown.keys() & real.keys() - OPEN:
            yield from differences(shown[key], real[key], f"{where}.{key}")
    elif isinstance(shown, list) and isinstance(real, list):
        if shown and real:
            yield from differences(shown[0], real[0], f"{where}[]")
    elif None not in (shown, real) and type(shown) is not type(real) and {type(shown), type(real)} != {int, float}:
        yield f"{where}: {type(shown).__name__} is shown, {type(real).__name__} came"


def ask(daemon, operation, body=None):
    method, path = operation.split()
    return daemon.ask(method, path, body)


def matches(shown_operation, real):
    assert list(differences(SHAPES[shown_operation], real)) == []


@pytest.fixture(autouse=True, scope="module")
def _has_been_used(daemon):
    daemon.say()
    daemon.say(model="plain")
    for _ in daemon.say(stream=True):
        pass


@pytest.mark.parametrize(
    "operation",
    [
        f"GET /mesh/v1/{name}"
        for name in (
            "status",
            "describe",
            "models",
            "providers",
            "capabilities",
            "apps",
            "clients",
            "budget",
            "stats",
            "config",
        )
    ],
)
def test_what_there_is(daemon, operation):
    matches(operation, ask(daemon, operation))


def test_pools(daemon):
    matches("GET /mesh/v1/pools/NAME", ask(daemon, "GET /mesh/v1/pools/chat"))
    matches("GET /mesh/v1/pools/NAME", ask(daemon, "GET /mesh/v1/pools")["data"][0])


def test_what_is_limited(meshd):
    """With something in every list that is empty elsewhere."""
    limited = meshd(
        {
            "providers": {
                "echo": {"connector": "modelmesh.scripted.v1", "script": [{"echo": True}], "quota": {"requests": 100}}
            },
            "models": {
                "echo.chat": {"provider": "echo", "pricing": {"input_per_1m": 1.0}, "budget": {"daily_limit": 1}}
            },
            "pools": {
                "chat": {
                    "models": ["echo.chat"],
                    "fallback_pools": ["spare"],
                    "hedge": {"after": "p95"},
                    "cache": {"ttl": "1m"},
                },
                "spare": {"models": ["echo.chat"]},
            },
            "apps": {"default": {"budget": {"daily_limit": 5}, "rate_limit": {"rpm": 100}}},
        }
    )
    limited.say()
    explained = ask(limited, "POST /mesh/v1/explain", {"model": "chat", "messages": [], "app": "default"})
    matches("POST /mesh/v1/explain", explained)
    assert (explained["app"]["account"], explained["fallbacks"][0]["pool"]) == ("default", "spare")
    assert explained["hedge"] == {"rule": "p95", "after": None}
    budget = ask(limited, "GET /mesh/v1/budget")
    matches("GET /mesh/v1/budget", budget)
    assert {(row["scope"], row["source"]) for row in budget["data"]} == {
        ("provider", "quota"),
        ("model", "budget"),
        ("app", "budget"),
    }
    for operation in ("apps", "models", "providers"):
        matches(f"GET /mesh/v1/{operation}", ask(limited, f"GET /mesh/v1/{operation}"))
    [default] = ask(limited, "GET /mesh/v1/apps?name=default")["data"]
    differ = list(differences(SHAPES["GET /mesh/v1/budget"]["data"][0], default["budget"][0]))
    assert (differ, default["requests"]) == ([], 1)


def test_events(daemon):
    daemon.ask("POST", "/mesh/v1/models/activate", {"id": "echo.plain"})
    matches("GET /mesh/v1/events", ask(daemon, "GET /mesh/v1/events"))


def test_explain(daemon):
    matches("POST /mesh/v1/explain", ask(daemon, "POST /mesh/v1/explain", {"model": "chat", "messages": []}))
    refused = ask(daemon, "POST /mesh/v1/explain", {"model": "plain", "messages": [], "tools": [{}]})
    assert refused["chosen"] is None
    assert refused["error"].keys() == {"message", "code", "status"}
    [dropped] = [model for stage in refused["stages"] for model in stage["dropped"]]
    assert dropped.keys() == {"model", "reason"}


def test_commands(daemon):
    models = "POST /mesh/v1/models"
    matches(f"{models}/activate", ask(daemon, f"{models}/deactivate", {"id": "echo.plain"}))
    matches(f"{models}/activate", ask(daemon, f"{models}/activate", {"id": "echo.plain"}))
    matches("POST /mesh/v1/rotate", ask(daemon, "POST /mesh/v1/rotate", {"pool": "text-generation"}))
    matches("POST /mesh/v1/probe", ask(daemon, "POST /mesh/v1/probe", {"provider": "echo"}))
    matches("POST /mesh/v1/discover", ask(daemon, "POST /mesh/v1/discover"))


def test_reload(daemon):
    good = daemon.config.read_text()
    matches("POST /mesh/v1/reload", ask(daemon, "POST /mesh/v1/reload", {"dry_run": True}))
    daemon.config.write_text("pools: {chat: {retry: {backof: fixed}}}\n")
    try:
        report = ask(daemon, "POST /mesh/v1/reload", {"dry_run": True})
    finally:
        daemon.config.write_text(good)
    matches("POST /mesh/v1/reload", report)


def test_state(meshd):
    daemon = meshd({"providers": {"echo": {"connector": "modelmesh.scripted.v1"}}})
    state = ask(daemon, "GET /mesh/v1/state")
    matches("GET /mesh/v1/state", {**state, "tables": {}, "usage": {}})
    matches("POST /mesh/v1/state", ask(daemon, "POST /mesh/v1/state", state))


def test_drain(meshd):
    daemon = meshd({"providers": {"echo": {"connector": "modelmesh.scripted.v1"}}})
    matches("POST /mesh/v1/drain", ask(daemon, "POST /mesh/v1/drain"))


def test_every_operation_is_shown():
    documented = set(re.findall(r"^\| `((?:GET|POST) /mesh/v1/[^`]*)` \|", PAGE, flags=re.MULTILINE))
    like_others = {"GET /mesh/v1/pools", "GET /mesh/v1/spend", "POST /mesh/v1/models/deactivate"}
    assert documented - like_others == set(SHAPES)
