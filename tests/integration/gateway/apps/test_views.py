"""What each user sees of the others: nothing that they used, asked or were told. Operators see all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from meshd.gateway.access.rights import OF_OPERATORS
from tests.support.apps.other_users.other_user import WAIT, App
from tests.support.daemons.pool_rule_cases import MESSAGES, Cases
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")

ANN, BOB, OPERATOR = range(61001, 61004)  # users that this machine does not know
SECRET = "the prompt of ann"
LIMIT = 918273.0
"""Of money that only operators see."""


@pytest.fixture
def world(meshd: Any, upstream: Any) -> Iterator[Any]:
    """(daemon, ann, bob, operator), after Ann's requests, one of which failed with her words in the error."""
    cases = Cases(
        upstream(),
        apps={
            "ann": {"match": {"uid": ANN}, "budget": {"daily_limit": 5.0}},
            "bob": {"match": {"uid": BOB}, "pools": ["chat"], "budget": {"daily_limit": 7.0}},
            "operator": {"match": {"uid": OPERATOR}, "admin": True},
        },
        daemon={"socket_mode": "0666"},
    )
    cent = {"pricing": {"per_request": 0.01}}
    failing = {"error": 500, "message": f"cannot handle {SECRET!r}"}
    chat = [cases.model("one", failing, **cent), cases.model("two", **cent)]
    cases.pool("chat", *chat, strategy="priority-selection", model_priority=chat, retry={"max_attempts": 1},
               deactivation={"retry_limit": 1})  # fmt: skip
    cases.pool("private", cases.model("three", **cent))
    cases.config["providers"]["p-three"]["budget"] = {"daily_limit": LIMIT}
    cases.play()
    daemon = meshd(cases.config)
    for directory in (daemon.directory.parent, daemon.directory, daemon.socket.parent):
        directory.chmod(0o755)
    apps = [App(daemon.socket, uid) for uid in (ANN, BOB, OPERATOR)]
    ann, bob, operator = apps
    try:
        for pool in ("chat", "chat", "private"):
            ann.say(pool)
        bob.say("chat")
        until(lambda: operator.ask("apps?name=ann")["data"][0]["requests"] == 3)
        yield daemon, ann, bob, operator
    finally:
        for app in apps:
            app.close()


def told(hidden: str | float, found: Any) -> bool:
    """Whether a text or a number is in what was told. A time may have the digits of any number."""
    if isinstance(found, dict):
        return any(told(hidden, each) for each in (*found, *found.values()))
    if isinstance(found, list):
        return any(told(hidden, each) for each in found)
    return hidden in found if isinstance(found, str) and isinstance(hidden, str) else hidden == found


READ = (
    "status", "describe", "pools", "pools/chat", "models", "providers", "capabilities", "apps", "clients", "budget",
    "stats", "stats?by=minute", "stats?by=app", "stats?by=user", "stats?by=model,user", "stats?by=app&app=ann",
    "stats?by=provider&user=", "events", "events?type=client_connected", "events?type=model_deactivated",
)  # fmt: skip


def test_what_a_user_sees(world: Any) -> None:
    daemon, _, bob, operator = world
    mine = {path: bob.ask(path) for path in READ}
    everything = {path: operator.ask(path) for path in READ}
    for hidden in (SECRET, "three", "private", str(ANN), LIMIT, str(daemon.directory), "127.0.0.1"):
        assert not told(hidden, mine), hidden
        assert told(hidden, everything), hidden
    assert not OF_OPERATORS["status"] & mine["status"].keys()
    for path, kind in (("models", "model"), ("providers", "provider"), ("apps", "app")):
        assert [row.keys() & OF_OPERATORS[kind] for row in mine[path]["data"]] == [set()] * len(mine[path]["data"])
        assert all(row.keys() >= OF_OPERATORS[kind] for row in everything[path]["data"])
    # What he used, what limits him, and how the models are.
    assert [(row["name"], row["requests"], row["cost"]) for row in mine["apps"]["data"]] == [("bob", 1, 0.01)]
    assert sum(row["requests_total"] for row in mine["stats"]["data"]) == 1
    assert sum(row["requests_total"] for row in mine["stats?by=user"]["data"]) == 1
    assert mine["stats?by=app&app=ann"]["data"][0]["name"] == "bob"
    assert {row["name"] for row in mine["budget"]["data"]} == {"bob"}
    assert {row["name"] for row in everything["budget"]["data"]} == {"ann", "bob", "p-three"}
    [one] = [row for row in mine["pools/chat"]["models"] if row["id"] == "one"]
    assert (one["status"], one["cause"], one["reason"]) == ("standby", "failures", "1 failures in a row")
    [down] = mine["events?type=model_deactivated"]["data"]
    assert (down["ids"]["model"], down["cause"], down["reason"]) == ("one", "failures", "")
    [whole] = everything["events?type=model_deactivated"]["data"]
    assert SECRET in whole["reason"]
    assert whole.keys() == down.keys()
    connected = [event["ids"] for event in mine["events?type=client_connected"]["data"]]
    assert [ids["pid"] for ids in connected] == [str(bob.process.pid)]
    assert len(everything["events?type=client_connected"]["data"]) >= 3


FAILURES: dict[str, dict[str, Any]] = {
    "500": {"error": 500},
    "401": {"error": 401},
    "403": {"error": 403},
    "404": {"error": 404, "code": "model_not_found"},
    "402": {"error": 402},
    "quota": {"error": 429, "code": "insufficient_quota"},
    "429": {"error": 429, "retry_after": 30},
    "long": {"error": 429, "retry_after": 300},
    "inside": {"fault": "error_event"},
}


@pytest.fixture
def failing(meshd: Any, upstream: Any) -> Iterator[Any]:
    """(ann, bob, operator, pools), after each pool has failed Ann with her words."""
    cases = Cases(
        upstream(),
        apps={"operator": {"match": {"uid": OPERATOR}, "admin": True}},
        daemon={"socket_mode": "0666", "queue_timeout": 0.2},
    )
    ways: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "once": ({}, {"retry": {"max_attempts": 1}}),
        "twice": ({}, {"retry": {"max_attempts": 2}}),
        "keys": ({"auth": {}, "api_keys": ["first-key-of-two", "second-key-of-two"]}, {"retry": {"max_attempts": 1}}),
        "held": ({}, {"retry": {"max_attempts": 1}, "provider_recovery": "on_manual"}),
    }
    pools = []
    for name, failure in FAILURES.items():
        for way, (provider, rules) in ways.items():
            model = cases.model(f"{name}-{way}", {**failure, "message": f"cannot {SECRET}"}, provider=provider)
            cases.pool(f"pool-{model}", model, **{"deactivation": {"retry_limit": 1}} | rules)
            pools.append(f"pool-{model}")
    cases.play()
    daemon = meshd(cases.config)
    for directory in (daemon.directory.parent, daemon.directory, daemon.socket.parent):
        directory.chmod(0o755)
    apps = [App(daemon.socket, uid) for uid in (ANN, BOB, OPERATOR)]
    try:
        for answer in [apps[0].chat(pool, timeout=5) for pool in pools * 2]:
            answer.result(WAIT)
        for steps in cases.script.values():  # what the others are told themselves, they may see
            steps[0]["message"] = "cannot serve this"
        cases.play()
        yield (*apps, pools)
    finally:
        for app in apps:
            app.close()


def test_what_another_was_told_is_told_to_nobody_else(failing: Any) -> None:
    _, bob, operator, pools = failing

    def all_that_is_told(app: App) -> dict[str, str]:
        told = {path: app.ask(path) for path in ("status", "pools", "models", "providers", "events?limit=1000")}
        for pool in pools:
            told[f"explain {pool}"] = app.tell("explain", model=pool, messages=MESSAGES)
        return {path: json.dumps(found) for path, found in told.items()}

    everything, mine = all_that_is_told(operator), all_that_is_told(bob)
    answers = {pool: bob.chat(pool, timeout=5) for pool in pools}
    mine |= {pool: json.dumps(answer.result(WAIT)) for pool, answer in answers.items()}
    assert [path for path, found in mine.items() if SECRET in found] == []
    assert not [path for path, found in mine.items() if "key-of-two" in found]
    explained = [path for path in everything if path.startswith("explain") and SECRET in everything[path]]
    assert len(explained) >= len(pools) / 2, "most of the pools keep words that are not shown"
    for path in ("status", "pools", "models", "providers", "events?limit=1000"):
        assert SECRET in everything[path], path


def test_names_that_he_may_not_use_are_not_guessed_for_him(world: Any) -> None:
    _, _, bob, operator = world
    for name in ("thre", "privat", "p-thre"):
        assert "three" not in json.dumps(bob.say(name))
        assert "private" not in json.dumps(bob.say(name))
    assert "three" in json.dumps(operator.say("thre"))


def test_a_name_is_not_enough_to_see_anothers_use(meshd: Any, upstream: Any) -> None:
    """Two users run a program of the same name, without entries in `apps`."""
    cases = Cases(upstream(), daemon={"socket_mode": "0666"})
    cases.pool("chat", cases.model("one"))
    cases.play()
    daemon = meshd(cases.config)
    for directory in (daemon.directory.parent, daemon.directory, daemon.socket.parent):
        directory.chmod(0o755)
    apps = [App(daemon.socket, uid) for uid in (ANN, BOB)]
    try:
        for app in apps[:1] * 3 + apps[1:]:
            app.say("chat")
        assert apps[0].you["app"] == apps[1].you["app"]
        daemon_row = {row["name"]: row for row in daemon.ask("GET", "/mesh/v1/apps")["data"]}[apps[0].you["app"]]
        assert daemon_row["requests"] == 4
        for app, used in zip(apps, (3, 1), strict=True):
            rows = {row["name"]: row["requests"] for row in app.ask("apps")["data"]}
            assert rows == {app.you["app"]: used, "default": used}
            assert [row["requests_total"] for row in app.ask("stats?by=app")["data"]] == [used]
    finally:
        for app in apps:
            app.close()


def test_explain_asks_for_oneself(world: Any) -> None:
    _, _, bob, _ = world
    explained = bob.tell("explain", model="chat", messages=MESSAGES)
    assert explained["app"]["name"] == "bob"
    assert {row["name"] for row in explained["budgets"]} == {"bob"}
