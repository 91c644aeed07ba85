"""`meshctl budget`, `apps`, and what `explain` and the lists say of limits."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import Any

import pytest

from meshd.cli.show.usage import budget

TOMORROW = time.time() + 30 * 3600
MAIL = {
    "scope": "app", "name": "mail", "pool": "", "measure": "cost", "window": "day", "source": "budget", "limit": 5.0,
    "spent": 4.0, "reserved": 0.5, "remaining": 0.5, "resets_at": TOMORROW, "enforce": True, "alert_threshold": 0.8,
}  # fmt: skip
QUOTA = MAIL | {
    "scope": "provider", "name": "openai", "measure": "requests", "window": "month", "source": "quota",
    "limit": 20000, "spent": 12000, "reserved": 0, "remaining": 8000,
}  # fmt: skip
RULE = MAIL | {
    "scope": "member", "name": "openai.gpt", "pool": "chat", "measure": "tokens", "window": "stint", "source": "rule",
    "limit": 1000, "spent": 1000, "reserved": 0, "remaining": 0, "resets_at": None,
}  # fmt: skip
SOFT = MAIL | {"scope": "pool", "name": "chat", "spent": 9.0, "enforce": False}
ROWS = [RULE, MAIL, SOFT, QUOTA]


def narrow(shown: Any) -> str:
    """What was printed, once it is seen to fit a terminal."""
    assert shown.exit_code == 0, shown.output
    assert max(map(len, shown.stdout.splitlines())) <= 80, shown.stdout
    return " ".join(shown.stdout.split())


def test_budget(fake: Any, meshctl: Any) -> None:
    fake.answers["GET budget"] = {"timezone": "UTC", "data": ROWS}
    shown = narrow(meshctl("budget"))
    order = [shown.index(text) for text in ("quota of openai", "pool chat*", "app mail", "chat: openai.gpt")]
    assert order == sorted(order)
    for text in ("12k 20k req/month", "* alerts only", "40%", "$4.00 $0.5 $5.00/day", " 10%", "1.0k tok", " 0%"):
        assert text in shown, text
    assert datetime.fromtimestamp(TOMORROW).strftime("%H:%M") in shown


def test_budget_of_one(fake: Any, meshctl: Any) -> None:
    fake.answers["GET budget"] = {"timezone": "UTC", "data": ROWS}
    assert "openai" not in meshctl("budget", "mail").stdout
    assert json.loads(meshctl("budget", "mail", "--json").stdout) == {"timezone": "UTC", "data": [MAIL]}
    assert json.loads(meshctl("budget", "chat", "--json").stdout)["data"] == [RULE, SOFT]
    assert json.loads(meshctl("budget", "--json").stdout)["data"] == ROWS
    names = {"providers": "name", "pools": "name", "apps": "name", "models": "id"}
    fake.answers.update({f"GET {path}": {"data": [{key: f"some-{path}"}]} for path, key in names.items()})
    assert "no limits for some-pools" in meshctl("budget", "some-pools").stdout
    unknown = meshctl("budget", "some-pool")
    assert (unknown.exit_code, unknown.stdout) == (1, "")
    assert "did you mean some-pools?\n  there are: some-providers, some-pools, some-apps" in unknown.stderr


def test_no_budget_at_all_says_how_to_have_one(fake: Any, meshctl: Any) -> None:
    fake.answers["GET budget"] = {"timezone": "UTC", "data": []}
    assert "daily_limit: 5.00" in narrow(meshctl("budget"))


@pytest.mark.parametrize(
    ("spent", "bar", "style"),
    [(0.0, "████████ 100%", "green"), (4.0, "██░░░░░░ 20%", "yellow"), (6.0, "░░░░░░░░ 0%", "red")],
)
def test_the_bar_shows_what_is_left(spent: float, bar: str, style: str) -> None:
    assert budget.bar(MAIL | {"spent": spent, "reserved": 0.0}) == (bar, style)


def test_a_limit_of_nothing_is_used_up() -> None:
    assert budget.taken(MAIL | {"limit": 0, "spent": 0, "reserved": 0}) == 1.0


def test_when_it_resets() -> None:
    soon, later = time.time() + 60, time.time() + 40 * 86400
    assert budget.resets(soon) == datetime.fromtimestamp(soon).strftime("%H:%M")
    assert budget.resets(later) == datetime.fromtimestamp(later).strftime("%-d %b %H:%M")
    assert budget.resets(None) == ""


APP = {
    "name": "mail", "account": "mail", "configured": True, "match": {"exe": "/usr/bin/mail"}, "pools": ["chat"],
    "models": None, "admin": False, "priority": 5, "weight": 2.0,
    "rate_limit": {"rpm": 60, "tpm": None, "concurrency": 4}, "budget": [MAIL], "connected": 1, "in_flight": 2,
    "waiting": 3, "requests": 1204, "failed": 7, "tokens_in": 1000, "tokens_out": 500, "cost": 12.5,
    "cost_today": 4.0, "last_seen": time.time() - 30,
}  # fmt: skip
DEFAULT = APP | {"name": "default", "account": "default", "match": {}, "admin": True, "in_flight": 0, "failed": 0}
VIM = APP | {"name": "vim", "account": "default", "configured": False, "match": {}, "budget": [MAIL]}


def test_apps(fake: Any, meshctl: Any) -> None:
    fake.answers["GET apps"] = {"data": [APP, DEFAULT, VIM]}
    lines = meshctl("apps").stdout.splitlines()
    narrow(meshctl("apps"))
    assert lines[1].split()[:7] == ["mail", "2", "3", "1,204", "7", "$4.00", "10%"]
    assert lines[2].split()[:2] == ["default", "admin"]
    assert lines[3].split()[:2] == ["vim", "default"]
    assert "%" not in lines[3]  # the limit is the default's
    assert json.loads(meshctl("apps", "--json").stdout) == {"data": [APP, DEFAULT, VIM]}
    fake.answers["GET apps"] = {"data": []}
    assert "no app has sent a request" in meshctl("apps").stdout


def test_one_app(fake: Any, meshctl: Any) -> None:
    fake.answers["GET apps?name=mail"] = {"data": [APP]}
    fake.answers["GET apps?name=vim"] = {"data": [VIM | {"pools": [], "weight": 1.0}]}
    fake.answers["GET apps?name=nobody"] = {"data": []}
    shown = narrow(meshctl("apps", "mail"))
    for text in ("exe /usr/bin/mail", "60 rpm, 4 concurrency", "1,204, 7 failed", "weight 2", "$12.50, $4.00 today",
                 "$5.00/day", "pools chat", "models all"):  # fmt: skip
        assert text in shown, text
    shown = narrow(meshctl("apps", "vim"))
    assert "default, shared by all programs without an entry" in shown
    assert "pools none" in shown
    fake.answers["GET apps?name=editor"] = {"data": [VIM | {"name": "editor", "account": "editor"}]}
    assert "default, for itself" in narrow(meshctl("apps", "editor"))
    assert json.loads(meshctl("apps", "mail", "--json").stdout) == APP
    assert meshctl("apps", "nobody").exit_code == 1


EXPLANATION = {
    "asked": "chat", "resolution": {"kind": "pool", "name": "chat"}, "pool": "chat", "strategy": "cost-first",
    "app": {"name": "vim", "account": "default", "priority": 0, "weight": 1.0}, "needs": {"tokens": 3},
    "stages": [{"name": "limits", "kept": ["a.one"], "dropped": [{"model": "b.two", "reason": "no room"}]}],
    "order": ["a.one"], "chosen": "a.one", "error": None,
    "candidates": [
        {"model": "b.two", "provider": "b", "reasons": [{"stage": "limits", "reason": "no room"}], "priced": False,
         "expected_cost": 0.0, "reservation": {"tokens_in": 3, "tokens_out": 4096, "cost": 0.0},
         "headroom": {"fraction": 0.0, "requests": 0, "tokens": None}},
        {"model": "a.one", "provider": "a", "reasons": [], "priced": True, "expected_cost": 0.001,
         "reservation": {"tokens_in": 3, "tokens_out": 4096, "cost": 0.002},
         "headroom": {"fraction": 0.42, "requests": 12, "tokens": None}},
    ],
    "budgets": [MAIL], "queue": {"would_wait": False, "waiting": 0, "frees_in": None},
    "fallbacks": [{"pool": "spare", "chosen": None}], "hedge": {"rule": "p95", "after": None},
    "cache": {"applies": True, "ttl": 3600.0, "scope": "app"},
}  # fmt: skip


def test_explain_says_what_it_would_cost(fake: Any, meshctl: Any) -> None:
    fake.answers["POST explain"] = EXPLANATION
    shown = narrow(meshctl("explain", "chat", "--app", "vim"))
    for text in (
        "vim, by the rules of default", "a.one $0.002 3+4.1k 42%", "b.two no price 3+4.1k 0% limits",
        "limits that apply", "app mail", "fallback pools spare (no model)", "after its p95 without an answer",
        "for 1 h within the same app", "chosen: a.one",
    ):  # fmt: skip
        assert text in shown, text
    assert shown.index("a.one $0.002") < shown.index("b.two no price")
    assert fake.asked[-1][1]["app"] == "vim"


@pytest.mark.parametrize(
    ("hedge", "text"),
    [
        ({"rule": "p95", "after": None}, "after its p95 without an answer, once that is known"),
        ({"rule": "p95", "after": 1.5}, "after 1.5 s without an answer"),
        ({"rule": 2.0, "after": None}, "after 2.0 s without an answer"),  # of a model that has not answered yet
        ({"rule": 2.0, "after": 2.0}, "after 2.0 s without an answer"),
    ],
)
def test_explain_says_when_a_second_model_is_asked(fake: Any, meshctl: Any, hedge: dict[str, Any], text: str) -> None:
    fake.answers["POST explain"] = EXPLANATION | {"hedge": hedge}
    assert f"second model {text} cached" in narrow(meshctl("explain", "chat"))


def test_explain_says_that_it_would_wait(fake: Any, meshctl: Any) -> None:
    waits = {"would_wait": True, "waiting": 4, "frees_in": 12.0}
    fake.answers["POST explain"] = EXPLANATION | {
        "chosen": None, "order": [], "queue": waits, "hedge": {"rule": 1.5, "after": 1.5},
        "cache": {"applies": False, "ttl": 1, "scope": "app"},
    }  # fmt: skip
    shown = narrow(meshctl("explain", "chat", "--session", "ann"))
    assert (fake.asked[-1][1]["user"], fake.asked[-1][1]["headers"]) == ("ann", {"x-session-id": "ann"})
    assert "would wait: room in about 12.0 s, with 4 waiting already" in shown
    assert "after 1.5 s without an answer" in shown
    assert "its answer may vary" in shown
    fake.answers["POST explain"] = EXPLANATION | {"chosen": None, "queue": waits | {"frees_in": None}}
    assert "until another request ends" in narrow(meshctl("explain", "chat"))
    fake.answers["POST explain"] = EXPLANATION | {"cache": EXPLANATION["cache"] | {"age": 12.0}}
    assert "it would get the answer of 12.0 s ago, and no model would be called" in narrow(meshctl("explain", "chat"))


def test_lists_in_detail(fake: Any, meshctl: Any) -> None:
    member = {"id": "a.one", "provider": "a", "status": "active", "error_rate": 0.25, "headroom": 0.4, "in_flight": 3}
    fake.answers["GET pools/chat"] = {"name": "chat", "models": [member], "fallback_pools": ["spare"]}
    shown = narrow(meshctl("pools", "chat"))
    assert "fallback pools spare" in shown
    assert "a.one a active 3 40% 25%" in shown
    headroom = {"fraction": 0.4, "requests": 12.0, "tokens": 3400.0}
    fake.answers["GET models?id=a.one"] = {
        "data": [{"id": "a.one", "error_rate": 0.25, "headroom": headroom, "limits": [QUOTA]}]
    }
    shown = narrow(meshctl("models", "a.one"))
    for text in ("failing recently 25%", "40% of its rate limits, 12 requests, 3.4k tokens", "quota of openai"):
        assert text in shown, text
    provider = {
        "name": "a", "keys": 2, "limits": [QUOTA],
        "quota": {"used": 7.5, "remaining": None, "limit": 10, "unit": "USD"},
        "resting_keys": [
            {"id": "ab12", "reason": "401", "until": None}, {"id": "cd", "reason": "429", "until": TOMORROW},
        ],
    }  # fmt: skip
    fake.answers["GET providers?name=a"] = {"data": [provider]}
    shown = narrow(meshctl("providers", "a"))
    for text in ("keys 2", "ab12 (401)", "cd (429, until", "7.5 USD used, 10 USD limit", "quota of openai"):
        assert text in shown, text
