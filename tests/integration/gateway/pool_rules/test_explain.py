"""`explain` of a running daemon, held against what then happens to the same request."""

from __future__ import annotations

import os
import threading

import pytest

from modelmesh import MeshError
from tests.support.daemons.pool_rule_cases import MESSAGES, Cases, explain, meshctl

CENT = {"pricing": {"per_request": 0.01}}


@pytest.fixture
def foretold(meshd, upstream):
    limits = {"budget": {"daily_limit": 10}}
    cases = Cases(upstream(), apps={
        "me": {"match": {"uid": os.getuid()}, "budget": {"monthly_limit": 20}},
        "other": {"match": {"uid": 61001}, "models": ["s-1", "s-2"], "concurrency": 1},
    })  # fmt: skip
    prices = {"input_per_1m": 1000, "output_per_1m": 2000}
    cases.model("dear", {"reply": "x", "delay": "2s"}, provider=limits, pricing=prices, **limits)
    cases.pool("chat", "dear", **limits)
    for number in range(4):
        cases.model(f"s-{number}", {"reply": "x"}, **CENT)
    names = [f"s-{number}" for number in range(4)]
    for key in ("user", "header", "app"):
        cases.pool(f"by-{key}", *names, strategy="session-stickiness", session={"key": key})
    cases.model("late", {"reply": "late", "delay": "5s"}, **CENT)
    cases.model("quick", **CENT)
    cases.pool("raced", "late", "quick", hedge={"after": "50ms"}, cache={"scope": "user"})
    cases.play()
    daemon = meshd(cases.config)
    daemon.upstream = cases.server
    return daemon


def test_explain_says_where_a_session_goes(foretold):
    homes = set()
    for name in (f"person {number}" for number in range(12)):
        for pool, options in [
            ("by-user", {"user": name}),
            ("by-header", {"headers": {"X-Session-Id": name}}),
            ("by-header", {"headers": {"mesh-session": name, "x-session-id": "another"}}),
            ("by-app", {}),
        ]:
            said = explain(foretold, pool, **options)["chosen"]
            headers = options.get("headers", {})
            body = {key: value for key, value in options.items() if key != "headers"}
            assert foretold.say(model=pool, extra_headers=headers, **body).mesh.model == said, (pool, name)
            homes.add(said)
        told = meshctl(foretold, "explain", "by-header", "--session", name, "--app", "me")["chosen"]
        assert told == foretold.say(model="by-header", extra_headers={"x-session-id": name}).mesh.model
        if len(homes) == 4:
            break
    assert len(homes) > 1


def test_explain_has_another_apps_view(foretold):
    found = explain(foretold, "by-user", app="other", user="ann")
    assert (found["app"]["account"], found["chosen"]) in [("other", "s-1"), ("other", "s-2")]
    assert [row["model"] for row in found["candidates"] if row["reasons"]] == ["s-0", "s-3"]
    assert {reason["stage"] for row in found["candidates"] for reason in row["reasons"]} == {"access"}
    refused = explain(foretold, "chat", app="other")
    assert (refused["chosen"], refused["error"]["code"]) == (None, "access_denied")
    assert {row["scope"] for row in explain(foretold, "chat")["budgets"]} == {"app", "pool", "provider", "model"}


def test_explain_says_what_is_then_reserved_in_every_scope(foretold, eventually):
    body = {"messages": MESSAGES, "max_tokens": 500}
    found = explain(foretold, "chat", **body)
    [candidate] = found["candidates"]
    cost = candidate["reservation"]["cost"]
    assert cost > 1.0, "500 tokens at $2,000 a million"
    assert all(row["reserved"] == 0 for row in found["budgets"])
    thread = threading.Thread(target=lambda: foretold.client().chat.completions.create(model="chat", **body))
    thread.start()

    def reserved():
        rows = foretold.ask("GET", "/mesh/v1/budget")["data"]
        return {row["scope"]: row["reserved"] for row in rows if row["reserved"]}

    held = eventually(reserved)
    thread.join(20)
    assert held == {scope: pytest.approx(cost) for scope in ("app", "pool", "provider", "model")}
    eventually(lambda: not reserved())
    spent = {row["scope"]: row["spent"] for row in explain(foretold, "chat", **body)["budgets"]}
    assert len(spent) == 4
    assert len(set(spent.values())) == 1
    assert 0 < spent["app"] <= cost
    # What does not fit any more, it says too.
    [refused] = explain(foretold, "chat", max_tokens=6000)["candidates"]
    assert [reason["stage"] for reason in refused["reasons"]] == ["budget"]
    assert "may cost" in refused["reasons"][0]["reason"] or "may spend" in refused["reasons"][0]["reason"]


def test_explain_knows_the_cache_and_the_second_model(foretold):
    before = explain(foretold, "raced", temperature=0)
    assert (before["chosen"], before["hedge"]["after"]) == ("late", 0.05)
    assert (before["cache"]["applies"], before["cache"]["age"]) == (True, None)
    assert foretold.say(model="raced", temperature=0).mesh.model == "quick"
    served = foretold.upstream.served["served"]
    assert 0 <= explain(foretold, "raced", temperature=0)["cache"]["age"] < 20
    assert explain(foretold, "raced", temperature=0, max_tokens=5)["cache"]["age"] is None
    for headers, applies in [({"X-Mesh-Cache": "false"}, False), ({"cache-control": "no-cache"}, True)]:
        found = explain(foretold, "raced", temperature=0, headers=headers)["cache"]
        assert (found["applies"], found["age"]) == (applies, None), headers
    assert explain(foretold, "raced", headers={"x-mesh-cache": "true"})["cache"]["applies"]
    with pytest.raises(MeshError) as caught:
        explain(foretold, "raced", headers={"x-mesh-cache": "perhaps"})
    assert (caught.value.status_code, caught.value.param) == (400, "x-mesh-cache")
    assert foretold.upstream.served["served"] == served
    assert foretold.say(model="raced", temperature=0).mesh.cached
