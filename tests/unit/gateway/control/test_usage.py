"""`apps` and `budget`: who has what, in USD, and who may see it."""

from __future__ import annotations

import time

import pytest

from meshd import messages
from meshd.gateway.reports.state_publisher import alert_map
from meshd.routing.budgets.records import Alert
from meshd.routing.table.specs import Allowance, AppSpec, RateSpec
from modelmesh import AccessDeniedError, InvalidRequestError, NotFoundError
from tests.support.gateway.builder import MAIL, ROOT, VIM, Gateway

APPS = (AppSpec("mail", pools=frozenset({"chat"}), rate=RateSpec(rpm=60), priority=3), AppSpec("default"))
ALLOWANCES = (
    Allowance("app", "mail", "cost", "day", 5_000_000_000),
    Allowance("app", "default", "cost", "month", 7_000_000_000, enforce=False),
    Allowance("provider", "a", "requests", "rolling", 100, "quota"),
    Allowance("member", "chat\0a.one", "tokens", "stint", 50, "rule"),
)


def scopes(answer):
    return {(row["scope"], row["name"]) for row in answer["data"]}


async def test_budget_rows_are_in_usd_or_counts():
    answer = await Gateway(apps=APPS, allowances=ALLOWANCES).get("/mesh/v1/budget")
    rows = {(row["scope"], row["name"]): row for row in answer["data"]}
    assert answer["timezone"] == "UTC"
    mail = rows["app", "mail"]
    assert (mail["limit"], mail["spent"], mail["remaining"], mail["enforce"]) == (5.0, 0.0, 5.0, True)
    assert mail["resets_at"] > time.time()
    assert rows["app", "default"]["enforce"] is False
    assert (rows["provider", "a"]["limit"], rows["provider", "a"]["source"]) == (100, "quota")
    assert (rows["member", "a.one"]["pool"], rows["member", "a.one"]["limit"]) == ("chat", 50)


async def test_of_apps_each_sees_its_own():
    core = Gateway(apps=APPS, allowances=ALLOWANCES)
    others = {("provider", "a"), ("member", "a.one")}
    assert scopes(await core.get("/mesh/v1/budget", MAIL)) == others | {("app", "mail")}
    assert scopes(await core.get("/mesh/v1/budget", VIM)) == others | {("app", "default")}
    assert scopes(await core.get("/mesh/v1/budget", ROOT)) == others | {("app", "mail"), ("app", "default")}


def test_an_alerts_amounts_are_usd_or_counts():
    money = alert_map(Alert("budget_alert", ALLOWANCES[0], 4_000_000_000, 500_000_000, 9.0))
    assert money == {
        "measure": "cost", "window": "day", "source": "budget", "limit": 5.0, "spent": 4.0, "reserved": 0.5,
        "resets_at": 9.0, "enforce": True,
    }  # fmt: skip
    assert alert_map(Alert("budget_exceeded", ALLOWANCES[2], 100, 0, None))["spent"] == 100


# -- apps -------------------------------------------------------------------------------------------------


def statistic(name, requests, cost):
    return {
        "name": name, "requests_total": requests, "requests_failed": 1, "tokens_in": 10, "tokens_out": 20,
        "cost_total": int(cost * 1e9),
    }  # fmt: skip


@pytest.fixture
def core():
    config = {"apps": {"mail": {"match": {"exe": "/usr/bin/mail"}}}}
    made = Gateway(apps=APPS, allowances=ALLOWANCES, waiting={"vim": 2}, config=config)

    def statistics(message):
        assert message.scope == "app"
        if message.since is None:
            return [statistic("mail", 5, 2.5), statistic("vim", 3, 1.0), statistic("emacs", 1, 0.5)]
        assert 0 <= message.since <= 86400
        return [statistic("vim", 1, 0.25)]

    made.asks[messages.QueryStatistics] = statistics
    for caller in (MAIL, VIM, VIM):
        made.connects(caller)
    for path in ("/v1/chat/completions", "/mesh/v1/apps"):
        made.has_in_flight(VIM, path)
    made.runtime.apps.identify(MAIL, 100.0)
    made.runtime.apps.identify(VIM, 200.0)
    return made


async def test_configured_apps_then_the_rest(core):
    rows = (await core.get("/mesh/v1/apps"))["data"]
    assert [row["name"] for row in rows] == ["mail", "default", "emacs", "vim"]
    mail, _, emacs, vim = rows
    assert (mail["match"], mail["pools"], mail["models"]) == ({"exe": "/usr/bin/mail"}, ["chat"], None)
    assert (mail["rate_limit"]["rpm"], mail["priority"]) == (60, 3)
    assert [row["limit"] for row in mail["budget"]] == [5.0]
    assert (mail["requests"], mail["cost"], mail["cost_today"], mail["last_seen"]) == (5, 2.5, 0.0, 100.0)
    assert (vim["account"], vim["configured"], vim["connected"], vim["in_flight"], vim["waiting"]) == (
        "default", False, 2, 1, 2,
    )  # fmt: skip
    assert (emacs["requests"], emacs["last_seen"]) == (1, None)


async def test_default_is_the_sum_of_the_rest(core):
    default = (await core.get("/mesh/v1/apps"))["data"][1]
    assert (default["requests"], default["cost"], default["cost_today"]) == (4, 1.5, 0.25)
    assert (default["connected"], default["in_flight"], default["waiting"], default["last_seen"]) == (2, 1, 2, 200.0)


async def test_apps_see_themselves_and_their_account(core):
    assert [row["name"] for row in (await core.get("/mesh/v1/apps", MAIL))["data"]] == ["mail"]
    assert [row["name"] for row in (await core.get("/mesh/v1/apps", VIM))["data"]] == ["default", "vim"]
    assert [row["name"] for row in (await core.get("/mesh/v1/apps", VIM, name="vim"))["data"]] == ["vim"]
    with pytest.raises(NotFoundError):
        await core.get("/mesh/v1/apps", VIM, name="mail")


async def test_without_any_configuration():
    rows = (await Gateway().get("/mesh/v1/apps"))["data"]
    assert [(row["name"], row["configured"], row["requests"], row["last_seen"]) for row in rows] == [
        ("default", False, 0, None)
    ]


# -- statistics -------------------------------------------------------------------------------------------


async def test_statistics_of_apps_are_their_own(core):
    core.asks[messages.QueryStatistics] = [statistic("x", 1, 1.5)]
    answer = await core.get("/mesh/v1/stats", MAIL, by="app,model", since="60", until="10", status="200", name="x")
    assert core.asked[-1] == messages.QueryStatistics(
        "app,model", "x", 60.0, 10.0, {"status": "200", "app": "mail", "user": MAIL.user}
    )
    assert answer["data"][0]["cost_total"] == 1.5
    await core.get("/mesh/v1/stats", VIM, by="model", user="root", app="mail")
    assert core.asked[-1].where == {"user": VIM.user, "app": "vim"}
    await core.get("/mesh/v1/stats", VIM, by="model")
    assert core.asked[-1].where == {"user": VIM.user, "app": "vim"}
    await core.get("/mesh/v1/spend", VIM, by="project,session", label="night")
    assert core.asked[-1] == messages.QueryStatistics(
        "project,session", where={"label": "night", "user": VIM.user, "app": "vim"}, of_spend=True
    )
    with pytest.raises(InvalidRequestError, match="cannot count by 'status' here"):
        await core.get("/mesh/v1/spend", ROOT, by="status")
    await core.get("/mesh/v1/stats", ROOT, by="app", app="mail")
    assert core.asked[-1].where == {"app": "mail"}


async def test_explain_as_another_app_is_for_administrators(core):
    with pytest.raises(AccessDeniedError, match="administrator"):
        await core.explain(VIM, app="mail")
    with pytest.raises(NotFoundError, match="mail, default"):
        await core.explain(ROOT, app="nobody")
    assert (await core.explain(ROOT, app="mail"))["app"]["account"] == "mail"
    assert (await core.explain(VIM, app="default"))["app"] == {
        "name": "default", "account": "default", "priority": 0, "weight": 1.0,
    }  # fmt: skip
    assert (await core.explain(VIM, app=None))["app"]["name"] == "vim"
