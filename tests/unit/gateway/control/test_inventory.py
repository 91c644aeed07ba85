"""Lists of what there is: an app sees what it may use, an administrator everything."""

from __future__ import annotations

import pytest

from meshd.core.caller import Peer
from meshd.core.events.cause import dump_why
from meshd.host import clock
from meshd.routing.availability.recovery import stand_by
from meshd.routing.table.specs import Allowance, AppSpec, KeySpec, PoolSpec, ProviderSpec
from meshd.sdk.provider import FailureKind, QuotaStatus
from modelmesh import AccessDeniedError, NotFoundError
from tests.support.gateway.builder import CHAT, MAIL, OWN, ROOT, SCRIPTED, VIM, Gateway, model
from tests.support.routing.causes import because

IN_CHAT = AppSpec("mail", pools=frozenset({"chat"}))
ONE_MODEL = AppSpec("mail", models=frozenset({"b.two"}))
DOWN = because("out of order")


async def seen(core, caller):
    return {
        "openai": [each["id"] for each in (await core.get("/v1/models", caller))["data"]],
        "pools": [each["name"] for each in (await core.get("/mesh/v1/pools", caller))["data"]],
        "models": [each["id"] for each in (await core.get("/mesh/v1/models", caller))["data"]],
        "providers": [each["name"] for each in (await core.get("/mesh/v1/providers", caller))["data"]],
    }


EVERYTHING = {
    "openai": ["chat", "other", "a.one", "b.two", "b.three"],
    "pools": ["chat", "other"],
    "models": ["a.one", "b.two", "b.three"],
    "providers": ["a", "b"],
}


@pytest.mark.parametrize(
    ("app", "expected"),
    [
        (
            IN_CHAT,
            {
                "openai": ["chat", "a.one", "b.two"],
                "pools": ["chat"],
                "models": ["a.one", "b.two"],
                "providers": ["a", "b"],
            },
        ),
        (ONE_MODEL, {"openai": ["chat", "b.two"], "pools": ["chat"], "models": ["b.two"], "providers": ["b"]}),
        (AppSpec("mail"), EVERYTHING),
    ],
)
async def test_an_app_sees_what_it_may_use(app, expected):
    core = Gateway(apps=(app,))
    assert await seen(core, MAIL) == expected
    described = await core.get("/mesh/v1/describe", MAIL)
    assert {key: described[key] for key in ("pools", "models", "providers")} == {
        key: expected[key] for key in ("pools", "models", "providers")
    }
    assert await seen(core, VIM) == EVERYTHING


async def test_an_operator_sees_everything_but_what_openai_lists_are_requests():
    core = Gateway(apps=(AppSpec("default", pools=frozenset({"chat"})),))
    assert await seen(core, ROOT) == EVERYTHING | {"openai": ["chat", "a.one", "b.two"]}
    assert (await core.get("/mesh/v1/models", VIM, id="a.one"))["data"][0]["pools"] == ["chat"]


async def test_what_is_not_allowed_is_refused_by_name():
    core = Gateway(apps=(ONE_MODEL,))
    for path, query in (
        ("/v1/models/a.one", {}),
        ("/v1/models/other", {}),
        ("/mesh/v1/pools/other", {}),
        ("/mesh/v1/models", {"id": "a.one"}),
    ):
        with pytest.raises(AccessDeniedError):
            await core.get(path, MAIL, **query)
    with pytest.raises(NotFoundError):
        await core.get("/mesh/v1/providers", MAIL, name="a")
    with pytest.raises(NotFoundError):
        await core.get("/mesh/v1/models", MAIL, id="nothing")
    assert (await core.get("/v1/models/chat", MAIL))["owned_by"] == "mesh"
    assert (await core.get("/v1/models/b.two", MAIL))["owned_by"] == "b"


async def test_a_pool_shows_the_members_that_the_app_may_have():
    core = Gateway(apps=(ONE_MODEL,))
    core.runtime.state.pool("chat").current = "a.one"
    shown = await core.get("/mesh/v1/pools/chat", MAIL)
    assert ([each["id"] for each in shown["models"]], shown["active"], shown["current"]) == (["b.two"], 1, None)
    shown = await core.get("/mesh/v1/pools/chat")
    assert ([each["id"] for each in shown["models"]], shown["current"]) == (["a.one", "b.two"], "a.one")


async def test_capabilities_count_what_the_app_may_use():
    core = Gateway(apps=(ONE_MODEL,))
    rows = {each["alias"]: each["models"] for each in (await core.get("/mesh/v1/capabilities", MAIL))["data"]}
    assert rows["chat-completion"] == 1


async def test_who_you_are():
    core = Gateway(apps=(IN_CHAT, AppSpec("default")))
    you = (await core.get("/mesh/v1/describe", MAIL))["you"]
    assert (you["app"], you["account"], you["admin"], you["exe"]) == ("mail", "mail", False, "/usr/bin/mail")
    you = (await core.get("/mesh/v1/describe", VIM))["you"]
    assert (you["app"], you["account"]) == ("vim", "default")
    assert (await core.get("/mesh/v1/describe", Peer(uid=OWN)))["you"]["admin"]


async def test_commands_are_for_administrators():
    boss = AppSpec("mail", admin=True)
    for app, allowed in ((IN_CHAT, False), (boss, True)):
        core = Gateway(apps=(app,))
        if allowed:
            shown = await core.get("/mesh/v1/config", MAIL)
            assert (shown["source"], shown["generation"]) == ("", 1)
        else:
            with pytest.raises(AccessDeniedError, match="admin: true"):
                await core.get("/mesh/v1/config", MAIL)


# -- the views --------------------------------------------------------------------------------------------


async def test_a_member_shows_how_it_fares():
    core = Gateway(pools=(PoolSpec("chat", "", ("a.one",), fallback_pools=("spare",)),))
    member = core.runtime.state.member("chat", "a.one")
    for number in range(10):
        member.outcomes.add(number % 2 == 0, clock.now(), 60.0)
    core.runtime.state.model("a.one").in_flight = 3
    shown = await core.get("/mesh/v1/pools/chat")
    [row] = shown["models"]
    assert (row["error_rate"], row["headroom"], row["in_flight"]) == (0.5, 1.0, 3)
    assert shown["fallback_pools"] == ["spare"]
    [row] = (await core.get("/mesh/v1/models", id="a.one"))["data"]
    assert row["error_rate"] == 0.5
    assert row["headroom"] == {"fraction": 1.0, "requests": None, "tokens": None}
    assert row["limits"] == []


async def test_a_model_shows_what_a_request_by_its_own_name_would_meet():
    core = Gateway(pools=[PoolSpec("chat", CHAT, ("a.one",))])
    by_name = core.runtime.table.resolve("b.two").pool
    stand_by(core.runtime.state.member(by_name.name, "b.two").availability, DOWN, by_name.recovery, clock.now())
    (shown,) = [each for each in (await core.get("/mesh/v1/models"))["data"] if each["id"] == "b.two"]
    assert (shown["status"], shown["reason"]) == ("standby", "out of order")
    explained = await core.explain(model="b.two")
    assert explained["candidates"][0]["reasons"][0]["stage"] == "state"


async def test_a_model_and_a_provider_show_their_limits():
    allowances = (
        Allowance("provider", "a", "requests", "month", 100, "quota"),
        Allowance("model", "a.one", "cost", "day", 5_000_000_000),
        Allowance("member", "chat\0a.one", "tokens", "stint", 50, "rule"),
        Allowance("app", "mail", "cost", "day", 1),
    )
    core = Gateway(allowances=allowances, models=(model("a.one"),), pools=(PoolSpec("chat", "", ("a.one",)),))
    [shown] = (await core.get("/mesh/v1/providers", name="a"))["data"]
    assert [(row["scope"], row["limit"], row["measure"]) for row in shown["limits"]] == [("provider", 100, "requests")]
    [shown] = (await core.get("/mesh/v1/models", id="a.one"))["data"]
    assert {(row["scope"], row["pool"], row["name"], row["limit"]) for row in shown["limits"]} == {
        ("model", "", "a.one", 5.0),
        ("member", "chat", "a.one", 50),
    }


async def test_a_provider_shows_its_keys_and_what_it_says_of_its_quota():
    keys = (KeySpec("ab"), KeySpec("cd"))
    core = Gateway(providers=(ProviderSpec("a", SCRIPTED, keys=keys), ProviderSpec("b", SCRIPTED)))
    until = clock.now() + 20.0
    refused, limited = because("401", FailureKind.AUTHENTICATION), because("429", FailureKind.RATE_LIMIT)
    resting = [
        {"id": "ab", "why": dump_why(refused), "until": None},
        {"id": "cd", "why": dump_why(limited), "until": until},
    ]
    core.runtime.state.rates.load_keys({"a": resting}, clock.now())
    core.runtime.state.provider("a").quota = QuotaStatus(used=1.0, unit="USD")
    first, second = (await core.get("/mesh/v1/providers"))["data"]
    assert first["resting_keys"] == [
        {"id": "ab", "reason": "401", "cause": "key_refused", "until": None},
        {"id": "cd", "reason": "429", "cause": "rate_limited", "until": pytest.approx(until, abs=0.1)},
    ]
    assert first["quota"] == {"used": 1.0, "remaining": None, "limit": None, "unit": "USD"}
    assert first["keys"] == 2
    assert (second["resting_keys"], second["quota"], second["keys"]) == ([], None, 1)
