"""`explain` tells what a request would get, to the cent, and leaves no trace."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import pytest

from meshd.host import clock
from meshd.routing.table.policies import CachePolicy, SessionPolicy
from meshd.routing.table.specs import Allowance, AppSpec, PoolSpec, ProviderSpec, RateSpec
from modelmesh import AccessDeniedError, InvalidRequestError, NotFoundError
from tests.support.gateway.builder import CHAT, MAIL, ROOT, SCRIPTED, VIM, Gateway, model

TWO = ("a.one", "b.two")


def rows(explained):
    return {row["model"]: row for row in explained["candidates"]}


async def test_what_would_be_reserved():
    explained = await Gateway().explain(max_tokens=10)
    row = rows(explained)["a.one"]
    assert row["reservation"]["tokens_out"] == 10
    expected = row["reservation"]["tokens_in"] * 1e-6 + 10 * 2e-6
    assert row["reservation"]["cost"] == pytest.approx(expected)
    assert 0 < row["expected_cost"] <= row["reservation"]["cost"]
    assert row["reasons"] == []
    assert explained["chosen"] == "a.one"
    assert explained["error"] is None
    assert explained["queue"] == {"would_wait": False, "waiting": 0, "frees_in": None}


async def test_every_reason_against_a_candidate():
    core = Gateway(models=(model("a.one", streaming=False), model("b.two")), pools=(PoolSpec("chat", CHAT, TWO),))
    core.runtime.state.model("a.one").deactivated = "broken"
    explained = await core.explain(stream=True)
    reasons = [(each["stage"], each["reason"]) for each in rows(explained)["a.one"]["reasons"]]
    assert reasons == [("delivery", "does not stream"), ("state", "deactivated by hand: broken")]
    assert explained["order"] == ["b.two"]


async def test_why_more_is_reserved_than_the_prompt_has():
    row = rows(await Gateway().explain(max_tokens=10, tools=[{}]))["a.one"]
    because = row["reservation"]["because"]
    assert "640 for tools" in because["in"]
    assert because["out"] == "the request's limit of 10"


async def test_remarks_say_which_model_is_asked_last_and_why():
    core = Gateway(models=(model("a.one"), model("b.two")), pools=(PoolSpec("chat", CHAT, TWO),))
    core.runtime.state.model("a.one").refused["tool_calling"] = clock.now()
    explained = await core.explain(tools=[{"type": "function", "function": {"name": "f"}}])
    [stage] = (stage for stage in explained["stages"] if stage["name"] == "features")
    assert stage["remarks"] == [
        {"model": "a.one", "reason": "recently refused tools (0 s ago); asked last"},
        {"model": "b.two", "reason": "does not declare tools; asked anyway"},
    ]
    assert explained["order"] == ["b.two", "a.one"]
    for id in TWO:
        core.runtime.state.model(id).deactivated = "broken"
    explained = await core.explain()
    names = ["access", "credential", "capability", "delivery", "features", "state"]
    assert [stage["name"] for stage in explained["stages"]] == names
    assert explained["stages"][-1]["kept"] == []


async def test_limits_that_apply_and_no_others():
    allowances = tuple(
        Allowance(scope, name, "cost", "day", 10**12)
        for scope, name in (
            ("app", "default"), ("app", "mail"), ("pool", "chat"), ("pool", "other"), ("provider", "a"),
            ("model", "b.two"), ("model", "b.three"), ("member", "chat\0a.one"), ("member", "other\0b.three"),
        )
    )  # fmt: skip
    core = Gateway(apps=(AppSpec("mail"),), allowances=allowances)
    found = {(row["scope"], row["pool"] or row["name"]) for row in (await core.explain(VIM))["budgets"]}
    assert found == {("app", "default"), ("pool", "chat"), ("provider", "a"), ("model", "b.two"), ("member", "chat")}


async def test_a_request_that_fits_no_budget():
    core = Gateway(allowances=(Allowance("pool", "chat", "cost", "day", 1),))
    explained = await core.explain()
    assert explained["chosen"] is None
    assert (explained["error"]["status"], explained["error"]["code"]) == (402, "budget_exceeded")


@pytest.mark.parametrize(("rule", "chosen"), [("rotate", "b.two"), ("error", None)])
async def test_on_budget_exceeded(rule, chosen):
    pool = PoolSpec("chat", CHAT, TWO, on_budget_exceeded=rule)
    core = Gateway(pools=(pool,), allowances=(Allowance("model", "a.one", "cost", "day", 1),))
    explained = await core.explain()
    assert explained["chosen"] == chosen
    assert (explained["error"] or {}).get("code") == (None if chosen else "budget_exceeded")


# -- waiting, falling back, and other policies ------------------------------------------------------------


async def test_it_would_wait_where_everybody_is_only_at_a_limit():
    by_minute = ProviderSpec("a", SCRIPTED, rate=RateSpec(rpm=4))
    by_place = ProviderSpec("b", SCRIPTED, rate=RateSpec(concurrency=1))
    core = Gateway(providers=(by_minute, by_place), waiting={"vim": 3})
    for id in ("a.one", "a.one", "a.one", "b.two"):
        core.takes_place(id)
    explained = await core.explain()
    assert (explained["chosen"], explained["queue"]["would_wait"]) == ("a.one", False)
    assert rows(explained)["a.one"]["headroom"] == {"fraction": 0.25, "requests": 1.0, "tokens": None}
    core.takes_place("a.one")
    explained = await core.explain()
    assert (explained["chosen"], explained["error"]) == (None, None)
    assert explained["queue"] == {"would_wait": True, "waiting": 3, "frees_in": pytest.approx(60.0, abs=5.0)}


async def test_it_falls_back_on_pools_that_the_app_may_use():
    pools = (
        PoolSpec("chat", CHAT, ("a.one",), fallback_pools=("secret", "spare")),
        PoolSpec("secret", "", ("b.two",)),
        PoolSpec("spare", "", ("b.three",)),
    )
    core = Gateway(pools=pools, apps=(AppSpec("mail", pools=frozenset({"chat", "spare"})),))
    core.runtime.state.model("a.one").deactivated = "broken"
    explained = await core.explain(MAIL)
    assert explained["fallbacks"] == [{"pool": "spare", "chosen": "b.three"}]
    assert explained["chosen"] == "b.three"
    assert (await core.explain(VIM))["fallbacks"][0] == {"pool": "secret", "chosen": "b.two"}


async def test_no_model_at_all():
    core = Gateway()
    for id in TWO:
        core.runtime.state.model(id).deactivated = "broken"
    explained = await core.explain()
    assert (explained["chosen"], explained["error"]["status"]) == (None, 503)
    assert explained["order"] == []


async def test_hedging_and_caching():
    pool = PoolSpec("chat", CHAT, ("a.one",), hedge_after="p95", cache=CachePolicy(60.0, 1000, "user"))
    core = Gateway(pools=(pool,))
    explained = await core.explain(temperature=0)
    assert explained["hedge"] == {"rule": "p95", "after": None}
    assert explained["cache"] == {"applies": True, "ttl": 60.0, "scope": "user", "age": None}
    for _ in range(30):
        core.runtime.state.model("a.one").total.add(1.5)
        core.runtime.state.model("a.one").first_token.add(0.5)
    assert (await core.explain(temperature=1))["cache"]["applies"] is False
    assert (await core.explain())["hedge"]["after"] == 1.5
    assert (await core.explain(stream=True))["hedge"]["after"] == 0.5
    core.runtime.state.model("a.one").deactivated = "broken"
    assert (await core.explain())["hedge"]["after"] is None
    plain = await Gateway().explain()
    assert (plain["hedge"], plain["cache"]) == (None, None)


@pytest.mark.parametrize("key", ["user", "header"])
async def test_a_session_goes_where_its_requests_go(key):
    models = tuple(model(f"m.{number}") for number in range(5))
    pool = PoolSpec("chat", CHAT, tuple(each.id for each in models), strategy="modelmesh.session-stickiness.v1",
                    session=SessionPolicy(key))  # fmt: skip
    core = Gateway(pools=(pool,), models=models, apps=(AppSpec("mail"),))

    async def homes(**options):
        names = [f"person {number}" for number in range(20)]
        return [(await core.explain(user=name, headers={"X-Session-ID": name}, **options))["chosen"] for name in names]

    found = await homes()
    assert len(set(found)) == 5
    assert found == await homes()
    assert found != await homes(app="mail"), "two apps share no session"
    assert {(await core.explain(**none))["chosen"] for none in ({}, {"user": None}, {"user": ""})} == {"m.0"}
    with pytest.raises(InvalidRequestError):
        await core.explain(headers={"x-session-id": 7})


async def test_an_app_without_an_entry_that_has_asked():
    core = Gateway(apps=(AppSpec("mail"), AppSpec("default", priority=3)))
    with pytest.raises(NotFoundError):
        await core.explain(app="vim")
    core.runtime.apps.identify(VIM, 1.0)
    found = (await core.explain(app="vim"))["app"]
    assert (found["name"], found["account"], found["priority"]) == ("vim", "default", 3)


# -- what may be asked ------------------------------------------------------------------------------------


async def test_what_is_not_allowed():
    core = Gateway(apps=(AppSpec("mail", pools=frozenset({"other"})),))
    with pytest.raises(AccessDeniedError):
        await core.explain(MAIL)
    explained = await core.explain(ROOT, app="mail")
    assert (explained["chosen"], explained["error"]["status"]) == (None, 403)
    assert explained["queue"]["would_wait"] is False


async def test_models_that_the_app_may_not_have_are_dropped():
    core = Gateway(apps=(AppSpec("mail", models=frozenset({"b.two"})),))
    explained = await core.explain(ROOT, app="mail")
    assert explained["chosen"] == "b.two"
    assert [each["stage"] for each in rows(explained)["a.one"]["reasons"]] == ["access"]


async def test_an_app_is_not_told_of_models_that_it_may_not_have():
    members = ("b.two", "x.state", "x.tools", "x.limit", "x.kind", "x.stream", "x.free")
    limits = [Allowance(*scope, "cost", "day", 10**12) for scope in
              (("model", "x.limit"), ("provider", "x"), ("member", "chat\0x.limit"), ("model", "b.two"))]  # fmt: skip
    core = Gateway(
        models=(
            model("b.two"), model("x.state"), model("x.limit"), model("x.stream", streaming=False), model("x.free"),
            replace(model("x.tools"), features={"tool_calling": False}),
            replace(model("x.kind"), capabilities=("embeddings",)),
        ),
        pools=(
            PoolSpec("chat", CHAT, members, fallback_pools=("spare", "others")),
            PoolSpec("spare", CHAT, ("x.free", "b.two")), PoolSpec("others", CHAT, ("x.free",)),
        ),
        apps=(AppSpec("mail", models=frozenset({"b.two"})),), allowances=tuple(limits),
    )  # fmt: skip
    core.runtime.state.model("x.state").deactivated = "broken"
    core.runtime.state.model("x.free").refused["tool_calling"] = clock.now()
    asked = {"stream": True, "tools": [{"type": "function", "function": {"name": "f"}}]}
    for b_is in (None, "gone"):
        core.runtime.state.model("b.two").deactivated = b_is
        own, shown = await core.explain(MAIL, **asked), await core.explain(ROOT, app="mail", **asked)
        assert "x." not in str(own)
        assert "others" not in str(own)
        assert {("provider", "x"), ("model", "x.limit")}.isdisjoint(
            (row["scope"], row["name"]) for row in own["budgets"]
        )
        assert set(rows(own)) == {"b.two"}
        assert set(rows(shown)) == set(members), "an operator sees why"
        assert (own["chosen"], own["error"] and own["error"]["code"]) == (
            (None, "no_active_model") if b_is else ("b.two", None)
        )


async def test_requests_that_make_no_sense():
    core = Gateway()
    for body in ({"path": "/v1/nothing"}, {"model": 7}, {"messages": [], "max_tokens": "many"}, {"app": 7}):
        with pytest.raises(InvalidRequestError):
            await core.explain(**body)


@pytest.mark.parametrize(
    ("body", "operation"), [({"input": "x"}, "embeddings"), ({"prompt": "x"}, "completions"), ({}, "chat.completions")]
)
async def test_the_endpoint_is_guessed_by_the_body(body, operation):
    explained = await Gateway().post("/mesh/v1/explain", ROOT, model="chat", **body)
    assert explained["needs"]["operation"] == operation


# -- no trace ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "strategy",
    [
        "stick-until-failure", "round-robin", "priority-selection", "cost-first", "latency-first",
        "session-stickiness", "rate-limit-aware", "load-balanced",
    ],
)  # fmt: skip
async def test_nothing_is_changed(strategy):
    pool = PoolSpec("chat", CHAT, TWO, strategy=f"modelmesh.{strategy}.v1", fallback_pools=("other",))
    core = Gateway(
        pools=(pool, PoolSpec("other", "", ("b.three",))),
        allowances=(
            Allowance("pool", "chat", "cost", "day", 10**12),
            Allowance("app", "default", "requests", "day", 5),
        ),
    )
    first = await core.explain(VIM, stream=True)
    before = pickle.dumps(core.runtime.state)
    asked = copy.deepcopy(first)
    for _ in range(20):
        again = await core.explain(VIM, stream=True)
        assert again["chosen"] == asked["chosen"]
    assert pickle.dumps(core.runtime.state) == before
    assert all(row["spent"] == row["reserved"] == 0 for row in again["budgets"])
