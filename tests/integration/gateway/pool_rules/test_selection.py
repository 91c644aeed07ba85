"""Which models are members, which is preferred, and what is asked if none is left: `require`, `select`, strategies,
fallbacks and sessions in a real daemon; and `explain`, which says all of it and sends nothing."""

from __future__ import annotations

import json

import pytest

from modelmesh import MeshError
from tests.support.daemons.pool_rule_cases import Cases, explain, member

ONCE = {"retry": {"max_attempts": 1}, "deactivation": {"retry_limit": 1}}
LONG = {"recovery": {"cooldown": "1h"}}


@pytest.fixture(scope="module")
def daemon(module_meshd, server):
    cases = Cases(server)
    model, pool = cases.model, cases.pool
    model("plain", constraints={"context_window": 8000})
    model("tools", features={"tool_calling": True}, constraints={"context_window": 200_000})
    pool("required", "plain", "tools", require={"features.tool_calling": True})
    pool("roomy", "plain", "tools", require={"constraints": {"context_window": ">=100000"}})
    pool("both", "plain", "tools")
    model("cheap", pricing={"input_per_1m": 1, "output_per_1m": 1}, weight=2)
    model("dear", pricing={"input_per_1m": 9, "output_per_1m": 9}, weight=1)
    pool("chosen", "dear", "cheap", "plain", select="known(pricing.output_per_1m) and -pricing.output_per_1m")
    pool("named", "dear", "cheap", select='provider == "p-dear"')
    pool("turns", "dear", "cheap", strategy="round-robin")
    pool("least-used", "dear", "cheap", select="-requests")
    model("erring", {"error": 500, "times": 3}, {"reply": "x"})
    pool("unerring", "erring", "plain", select="default(failures, 0) < 2", deactivation={"retry_limit": 99},
         retry={"max_attempts": 1})  # fmt: skip
    model("down", {"error": 500})
    model("last")
    pool("empty-hands", "down", fallback_pools=["halfway", "last-hope"], **ONCE, **LONG)
    pool("halfway", "down", **ONCE, **LONG)
    pool("last-hope", "last")
    model("head", {"error": 500})
    pool("list", "head", "dear", "cheap", strategy="priority-selection", model_priority=["head"],
         fallback_strategy="cost-first", **ONCE, **LONG)  # fmt: skip
    pool("vendors", "dear", "cheap", strategy="priority-selection", provider_priority=["p-cheap", "p-dear"])
    model("fast")
    model("slow", {"reply": "x", "delay": "150ms"})
    pool("fastest", "slow", "fast", strategy="latency-first")
    for name in "abc":
        model(f"s-{name}", {"reply": "x"})
    for key in ("auto", "user", "header", "app"):
        pool(f"by-{key}", "s-a", "s-b", "s-c", strategy="session-stickiness", session={"key": key})
    pool("without", "dear", "cheap", "plain", excluded_models=["dear"], excluded_providers=["p-plain"])
    cases.play()
    return module_meshd(cases.config)


def asked(daemon, pool, times=1, **options):
    return [daemon.say(model=pool, **options).mesh.model for _ in range(times)]


def test_members_have_what_is_required(daemon):
    assert asked(daemon, "required", 2) == ["tools", "tools"]
    assert asked(daemon, "roomy") == ["tools"]
    assert asked(daemon, "without", 2) == ["cheap", "cheap"]


def test_a_request_goes_to_a_model_that_declares_what_it_needs(daemon):
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    assert asked(daemon, "both") == ["plain"]
    assert asked(daemon, "both", tools=[tool]) == ["tools"]
    assert asked(daemon, "both", max_tokens=50_000) == ["tools"]


def test_select_by_what_models_are(daemon):
    members = [row["id"] for row in daemon.ask("GET", "/mesh/v1/pools/chosen")["models"]]
    assert members == ["cheap", "dear"]
    assert asked(daemon, "chosen") == ["cheap"]
    assert asked(daemon, "named") == ["dear"]


def test_select_by_what_models_do(daemon):
    # The model that was asked less: in turn, whatever else they were asked for.
    found = {id: daemon.model(id)["requests"] for id in ("dear", "cheap")}
    for _ in range(6):
        least = min(found.values())
        [model] = asked(daemon, "least-used")
        assert found[model] == least
        found[model] += 1
    # Two failures in a row, and it is not chosen any more, though nothing set it aside.
    assert asked(daemon, "unerring", 3) == ["plain"] * 3
    assert daemon.model("erring")["failures"] == 2
    assert member(daemon, "unerring", "erring")["status"] == "active"
    [stage] = (stage for stage in explain(daemon, "unerring")["stages"] if stage["name"] == "select")
    assert stage["dropped"][0]["reason"] == "`select` does not include it now: default(failures, 0) < 2"


def test_in_turn_by_weight(daemon):
    models = asked(daemon, "turns", 6)
    assert (models.count("cheap"), models.count("dear")) == (4, 2)


def test_latency_first_asks_the_faster_one(daemon):
    models = asked(daemon, "fastest", 20)
    assert models.count("fast") >= 14


def test_pools_to_fall_back_on(daemon, server):
    answer = daemon.say(model="empty-hands")
    assert (answer.mesh.model, answer.mesh.pool) == ("last", "last-hope")
    assert server.served["by_model"]["down"] == 1, "asked in one pool, a model is not asked in the next"
    found = explain(daemon, "empty-hands")
    assert (found["order"], found["chosen"]) == ([], "down"), "who rests in one pool may be up in the next"
    assert [(row["pool"], row["chosen"]) for row in found["fallbacks"]] == [("halfway", "down"), ("last-hope", "last")]
    with pytest.raises(MeshError):
        daemon.say(model="down")


def test_priorities_and_what_follows_on_them(daemon):
    assert asked(daemon, "list", 2) == ["cheap", "cheap"]
    assert member(daemon, "list", "head")["status"] == "standby"
    assert asked(daemon, "vendors") == ["cheap"]


def test_one_session_one_model(daemon):
    def at(pool, **options):
        found = {daemon.say(model=pool, **options).mesh.model for _ in range(3)}
        assert len(found) == 1, "always the same"
        return found.pop()

    people = [f"person {number}" for number in range(12)]
    assert len({at("by-user", user=name) for name in people}) == 3
    assert len({at("by-header", extra_headers={"x-session-id": name}) for name in people}) == 3
    assert len({at("by-auto", extra_headers={"x-claude-code-session-id": name}, user="one") for name in people}) == 3
    assert len({at("by-auto", prompt_cache_key=name, user="one") for name in people}) == 3
    at("by-app", user="any")
    assert at("by-app", user="somebody") == at("by-app", user="somebody else")


def test_explain_says_everything_and_sends_nothing(daemon, server):
    before = server.served["served"]
    requests = daemon.status()["requests"]["total"]
    found = explain(daemon, "chosen", max_tokens=1000)
    assert found["chosen"] == "cheap"
    assert found["order"] == ["cheap", "dear"]
    assert [stage["name"] for stage in found["stages"]] == [
        "access", "credential", "capability", "delivery", "features", "state", "maintenance", "select",
        "budget", "limits",
    ]  # fmt: skip
    cheap, dear = found["candidates"]
    assert dear["expected_cost"] > cheap["expected_cost"] > 0
    assert cheap["reservation"]["tokens_out"] == 1000
    assert cheap["reservation"]["cost"] >= cheap["expected_cost"]
    assert cheap["headroom"] == {"fraction": 1.0, "requests": None, "tokens": None}
    assert (found["hedge"], found["cache"], found["error"]) == (None, None, None)
    impossible = explain(daemon, "plain", max_tokens=50_000)
    assert (impossible["chosen"], impossible["error"]["code"]) == (None, "model_cannot")
    assert "too long" in impossible["candidates"][0]["reasons"][0]["reason"]
    assert server.served["served"] == before
    assert daemon.status()["requests"]["total"] == requests


# -- with a daemon of their own ---------------------------------------------------------------------------


@pytest.mark.parametrize("ttl", [None, "1h"])
def test_a_session_that_had_to_move_goes_back_or_stays(meshd, upstream, ttl):
    cases = Cases(upstream())
    for name in "abc":
        cases.model(name)
    session = {} if ttl is None else {"session": {"ttl": ttl}}
    cases.pool("chat", "a", "b", "c", strategy="session-stickiness", **session)
    cases.play()
    daemon = meshd(cases.config)

    def at():
        return daemon.say(model="chat", user="ann").mesh.model

    home = at()
    daemon.ask("POST", "/mesh/v1/models/deactivate", {"id": home})
    second = at()
    assert second != home
    daemon.ask("POST", "/mesh/v1/models/activate", {"id": home})
    assert {at() for _ in range(3)} == ({home} if ttl is None else {second})


def test_rubbish_is_refused_with_what_was_meant(meshd, upstream):
    cases = Cases(upstream())
    cases.model("m")
    cases.pool("chat", "m")
    daemon = meshd(cases.config)
    rubbish = {
        "select": "pricing.outptu_per_1m < 3",
        "require": {"features.tool_caling": True},
        "strategy": "cost-frist",
        "fallback_pools": ["chta"],
        "fallback_strategy": "cost-frist",
        "session": {"key": "usr", "ttl": "soon"},
        "hedge": {"after": "p59"},
        "cache": {"scope": "everybody", "ttl": "long", "max_size": "big"},
        "balance_mode": "relativ",
        "on_budget_exceeded": "rotat",
        "provider_recovery": "on_probe",
        "provider_deactivation": ["on_outage"],
        "model_priority": ["n"],
        "deactivation": {
            "error_rate_threshold": 2,
            "maintenance_window": "at night",
            "quota_window": "weekly",
            "error_codes": [99],
            "request_limit": -1,
            "budget_limit": "much",
        },
        "recovery": {"cooldown": "-1s", "quota_reset_schedule": "yearly", "probe_interval": "x"},
        "retry": {"max_attempts": 0, "backoff": "linear", "scope": "all"},
        "rate_limit": {"threshold": 90, "max_rpm": 0, "min_delta": "often"},
        "stream": {"on_failure": "continu", "idle_timeout": None},
        "budget": {"alert_threshold": 80, "daily_limit": -1, "enforce": "perhaps"},
    }
    config = json.loads(json.dumps(cases.config))
    config["pools"]["chat"] |= rubbish
    daemon.write(config)
    report = daemon.ask("POST", "/mesh/v1/reload", {"dry_run": True})
    assert not report["ok"]
    problems = {problem["path"].removeprefix("pools.chat."): problem for problem in report["problems"]}
    for key, value in rubbish.items():
        for part in value if isinstance(value, dict) and key != "require" else [None]:
            path = key if part is None else f"{key}.{part}"
            if path == "stream.idle_timeout":
                continue  # nothing is nothing said
            found = [problem for at, problem in problems.items() if at.startswith(path)]
            assert found, f"{path} is taken as it is"
            assert all(problem["line"] and len(problem["message"]) > 10 for problem in found)
    assert problems["strategy"]["suggestion"] == "cost-first" or "cost-first" in str(problems["strategy"])
    assert daemon.say(model="chat").mesh.model == "m"
