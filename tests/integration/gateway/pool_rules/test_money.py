"""Budgets, prices and allowances in a real daemon: what is refused or asked elsewhere, and who is told of it."""

from __future__ import annotations

import os

import pytest

from modelmesh import MeshError
from tests.support.daemons.pool_rule_cases import Cases, events, explain, limit, member, provider

ME = {"match": {"uid": os.getuid()}}
CENT = {"pricing": {"per_request": 0.01}}


@pytest.fixture(scope="module")
def daemon(module_meshd, server):
    cases = Cases(server)
    model, pool = cases.model, cases.pool
    model("free")
    cases.config["models"]["free"]["pricing"] = {"input_per_1m": 0}
    for name, budget in {
        "daily": {"daily_limit": 0.05},
        "monthly": {"monthly_limit": 0.02},
        "watched": {"daily_limit": 0.02, "alert_threshold": 0.5, "enforce": False},
    }.items():
        model(name, {"reply": "x"}, provider={"budget": budget, **CENT})
        pool(name, name, "free")
    model("strict", **CENT, budget={"daily_limit": 0.02})
    pool("strict", "strict", "free", on_budget_exceeded="error")
    model("paid", **CENT)
    pool("of-pool", "paid", budget={"daily_limit": 0.02})
    model("breaks", {"error": 500}, **CENT)
    pool("broken", "breaks", "paid", budget={"daily_limit": 0.02}, deactivation={"retry_limit": 1})
    usage = {"usage": {"prompt_tokens": 1000, "completion_tokens": 100}}
    model("of-provider", {"reply": "x", **usage}, provider={"pricing": {"input_per_1m": 2, "output_per_1m": 10}})
    model("own", {"reply": "x", **usage}, provider={"pricing": {"input_per_1m": 2, "output_per_1m": 10}},
          pricing={"input_per_1m": 4, "per_request": 0.5})  # fmt: skip
    cached = {"prompt_tokens": 1000, "completion_tokens": 0, "prompt_cache_hit_tokens": 600}  # as DeepSeek says it
    model("remembers", {"reply": "x", "usage": cached}, pricing={"input_per_1m": 10, "cached_input_per_1m": 1})
    pool("remembering", "remembers")
    for name, quota in {
        "q-daily": {"requests": 2, "reset_schedule": "daily"},
        "q-monthly": {"requests": 2, "reset_schedule": "monthly"},
        "q-rolling": {"requests": 2, "reset_schedule": "rolling"},
        "q-default": {"requests": 2},
    }.items():
        model(name, provider={"quota": quota})
        pool(name, name, "free")
    model("q-tokens", {"reply": "x", **usage}, provider={"quota": {"tokens": 2500, "reset_schedule": "daily"}})
    pool("q-tokens", "q-tokens", "free")
    model("unpriced")
    pool("unknown", "unpriced", budget={"daily_limit": 1})
    cases.play()
    return module_meshd(cases.config)


def asked(daemon, pool, times=1, **options):
    return [daemon.say(model=pool, **options).mesh.model for _ in range(times)]


def budgets(daemon, **wanted):
    return limit(daemon.ask("GET", "/mesh/v1/budget")["data"], **wanted)


def test_a_daily_budget_rotates_and_says_so_once(daemon):
    assert asked(daemon, "daily", 8) == ["daily"] * 5 + ["free"] * 3
    row = budgets(daemon, scope="provider", name="p-daily", measure="cost")
    assert (row["limit"], row["spent"], row["reserved"], row["remaining"]) == (0.05, 0.05, 0.0, 0.0)
    assert provider(daemon, "p-daily")["available"], "what is spent is not down"
    [alert] = events(daemon, "budget_alert", provider="p-daily")
    assert (alert["changed"]["spent"], alert["changed"]["limit"]) == (0.04, 0.05)
    [exceeded] = events(daemon, "budget_exceeded", provider="p-daily")
    assert exceeded["changed"]["spent"] == 0.05
    assert exceeded["reason"].startswith("provider p-daily has spent $0.05 of its $0.05 a day")


def test_a_monthly_budget(daemon):
    assert asked(daemon, "monthly", 3) == ["monthly", "monthly", "free"]
    [row] = (row for row in explain(daemon, "monthly")["budgets"] if row["scope"] == "provider")
    assert (row["window"], row["remaining"]) == ("month", 0.0)


def test_an_error_instead_where_the_pool_says_so(daemon):
    assert asked(daemon, "strict", 2) == ["strict", "strict"]
    with pytest.raises(MeshError) as caught:
        daemon.say(model="strict")
    error = caught.value
    assert (error.status_code, error.code) == (402, "budget_exceeded")
    assert (error.scope, error.limit_type, error.limit, error.spent) == ("model", "daily_limit", 0.02, 0.02)
    assert error.resets_at.endswith("+00:00")
    found = explain(daemon, "strict")
    assert (found["chosen"], found["error"]["code"]) == (None, "budget_exceeded")


def test_a_pools_budget_is_of_all_its_requests(daemon):
    assert asked(daemon, "of-pool", 2) == ["paid", "paid"]
    with pytest.raises(MeshError) as caught:
        daemon.say(model="of-pool")
    assert (caught.value.code, caught.value.scope) == ("budget_exceeded", "pool")
    assert asked(daemon, "paid") == ["paid"], "by itself it is in no pool"


def test_a_model_that_rests_is_no_hope_where_the_budget_is_used_up(daemon):
    assert asked(daemon, "broken", 2) == ["paid", "paid"]
    with pytest.raises(MeshError) as caught:
        daemon.say(model="broken")
    assert (caught.value.code, caught.value.scope) == ("budget_exceeded", "pool")


def test_one_that_is_not_enforced_only_tells(daemon):
    assert asked(daemon, "watched", 4) == ["watched"] * 4
    assert len(events(daemon, "budget_alert", provider="p-watched")) == 1
    assert len(events(daemon, "budget_exceeded", provider="p-watched")) == 1
    assert budgets(daemon, name="p-watched")["spent"] == 0.04


def test_prices_of_the_model_before_its_providers(daemon):
    assert daemon.say(model="of-provider").mesh.cost == pytest.approx(0.002 + 0.001)
    assert daemon.say(model="own").mesh.cost == pytest.approx(0.004 + 0.001 + 0.5)
    assert daemon.say(model="remembering").mesh.cost == pytest.approx(0.004 + 0.0006)


@pytest.mark.parametrize(
    ("pool", "window", "words"),
    [
        ("q-daily", "day", "of the day"),
        ("q-monthly", "month", "of the month"),
        ("q-rolling", "rolling", "in 24 hours"),
        ("q-default", "day", "of the day"),
    ],
)
def test_an_allowance_of_requests(daemon, pool, window, words):
    assert asked(daemon, pool, 4) == [pool, pool, "free", "free"]
    row = provider(daemon, f"p-{pool}")
    assert row["reason"] == f"it has used up 2 requests {words}"
    used = limit(row["limits"], source="quota")
    assert (used["window"], used["measure"], used["spent"]) == (window, "requests", 2)
    assert used["resets_at"] is not None
    assert member(daemon, pool, pool)["recovers_in"] > 0


def test_an_allowance_of_tokens(daemon):
    assert asked(daemon, "q-tokens", 3, max_tokens=200) == ["q-tokens", "q-tokens", "free"]
    assert limit(provider(daemon, "p-q-tokens")["limits"], measure="tokens")["spent"] == 2200


def test_a_budget_does_not_pay_for_an_unknown_price(daemon):
    with pytest.raises(MeshError) as caught:
        daemon.say(model="unknown")
    assert "the price of unpriced is unknown" in caught.value.message


def test_explain_says_what_would_be_reserved(daemon):
    candidate = explain(daemon, "of-provider", max_tokens=1000)["candidates"][0]
    held = candidate["reservation"]
    assert held["tokens_out"] == 1000
    assert held["cost"] == pytest.approx(held["tokens_in"] * 2e-6 + 0.01)
    assert budgets(daemon, name="p-daily")["reserved"] == 0.0


def test_statistics_by_anything(daemon):
    daemon.say(model="remembering")
    for by in ("model", "provider", "pool", "app", "pool,model", "app,provider,hour", "status,operation"):
        rows = daemon.ask("GET", f"/mesh/v1/stats?by={by}&since=3600")["data"]
        assert rows, by
        assert sum(row["requests_total"] for row in rows) > 0, by
    [row] = daemon.ask("GET", "/mesh/v1/stats?by=provider,model&pool=remembering&since=3600")["data"]
    assert row["cost_total"] > 0
    with pytest.raises(MeshError) as caught:
        daemon.ask("GET", "/mesh/v1/stats?by=colour")
    assert caught.value.status_code == 400


# -- with a daemon of their own ---------------------------------------------------------------------------


def test_an_app_has_a_budget_and_a_rate(meshd, upstream):
    cases = Cases(upstream(), apps={"me": ME | {"budget": {"daily_limit": 0.03}, "rate_limit": {"rpm": 4}}},
                  daemon={"queue_timeout": "100ms"})  # fmt: skip
    cases.model("paid", **CENT)
    cases.model("gratis", pricing={"input_per_1m": 0})
    cases.pool("chat", "paid")
    cases.pool("for-nothing", "gratis")
    cases.play()
    daemon = meshd(cases.config)
    assert asked(daemon, "chat", 3) == ["paid"] * 3
    with pytest.raises(MeshError) as caught:
        daemon.say(model="chat")
    assert (caught.value.code, caught.value.scope, caught.value.name) == ("budget_exceeded", "app", "me")
    assert asked(daemon, "for-nothing") == ["gratis"]
    with pytest.raises(MeshError) as caught:
        daemon.say(model="for-nothing")
    assert caught.value.code == "queue_full"
    assert "app me is at its limit of 4 requests a minute" in caught.value.message
    [row] = daemon.ask("GET", "/mesh/v1/apps?name=me")["data"]
    assert (row["cost_today"], limit(row["budget"])["spent"]) == (0.03, 0.03)
    assert events(daemon, "budget_exceeded", app="me")


def test_spend_outlives_a_restart_and_alerts_come_once_all_the_same(meshd, upstream):
    cases = Cases(upstream())
    cases.model("paid", provider={"budget": {"daily_limit": 0.02}, **CENT})
    cases.pool("chat", "paid")
    cases.play()
    daemon = meshd(cases.config)
    assert asked(daemon, "chat", 2) == ["paid", "paid"]
    daemon.stop()
    daemon.start()
    with pytest.raises(MeshError) as caught:
        daemon.say(model="chat")
    assert caught.value.code == "budget_exceeded"
    assert daemon.log().count("budget_exceeded") <= 2
