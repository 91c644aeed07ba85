"""Rules of pools that need more than an upstream: a clock at the end of a month, a crash, several limits at once; where
load goes, what an outage sets aside, and what events and statistics say about it."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from modelmesh import MeshError
from tests.support.daemons.clocks.clocked import Clock, last_month_end
from tests.support.daemons.pool_rule_cases import Cases, events, explain, limit, member, meshctl, provider
from tests.support.daemons.stress.dying import crashing

DAY = 86400
CENT = {"pricing": {"per_request": 0.01}}
ONCE = {"retry": {"max_attempts": 1}}
PATIENT = {**ONCE, "deactivation": {"retry_limit": 99}}
FAILS = {"error": 503}


def asked(daemon, pool, times=1, **options):
    return [daemon.say(model=pool, **options).mesh.model for _ in range(times)]


# -- where load goes, and what an outage sets aside -------------------------------------------------------


@pytest.fixture(scope="module")
def daemon(module_meshd, server):
    cases = Cases(server)
    model, pool = cases.model, cases.pool
    balanced = {"strategy": "load-balanced"}
    model("heavy", {"reply": "x"}, weight=9)
    model("light", {"reply": "x"}, weight=1)
    pool("evenly", "heavy", "light", **balanced, balance_mode="absolute")
    model("roomy", {"reply": "x"}, provider={"rate_limit": {"rpm": 3000}})
    model("tight", {"reply": "x"}, provider={"rate_limit": {"rpm": 150}})
    pool("by-room", "tight", "roomy", **balanced)
    said = {"x-ratelimit-limit-requests": "1000", "x-ratelimit-reset-requests": "10m"}
    model("said-much", {"reply": "x", "headers": {**said, "x-ratelimit-remaining-requests": "950"}})
    model("said-little", {"reply": "x", "headers": {**said, "x-ratelimit-remaining-requests": "10"}})
    pool("as-said", "said-little", "said-much", **balanced, balance_mode="relative")

    model("rest", {"reply": "rest"})
    for name, whom in {
        "outage": None,
        "no-outage": ["on_auth_failure"],
        "nothing": [],
        "no-auth": ["on_api_outage"],
    }.items():
        rules = {} if whom is None else {"provider_deactivation": whom}
        for kind, fault in {
            "down": FAILS,
            "cut": {"fault": "reset"},
            "key": {"error": 401, "message": "bad key"},
        }.items():
            # Two models of one provider, since one that fails may be the only one that does.
            first, second = model(f"{name}-{kind}-1", fault), model(f"{name}-{kind}-2", fault)
            cases.config["models"][second]["provider"] = f"p-{first}"
            pool(f"{name}-{kind}", first, second, "rest", strategy="priority-selection",
                 model_priority=[first, second, "rest"], **PATIENT, **rules)  # fmt: skip
    cases.play()
    return module_meshd(cases.config)


def test_load_is_balanced_evenly(daemon):
    models = asked(daemon, "evenly", 10)
    assert (models.count("heavy"), models.count("light")) == (5, 5), "whatever they weigh"
    assert {(models[at], models[at + 1]) for at in range(0, 10, 2)} == {(models[0], models[1])}, "in turn"


def test_load_is_balanced_by_the_room_that_is_left(daemon):
    models = asked(daemon, "by-room", 60)  # 3000 : 150, so about three for the tight one
    assert models.count("roomy") > 45
    room = {row["model"]: row["headroom"]["requests"] for row in explain(daemon, "by-room")["candidates"]}
    assert room["roomy"] > 2900 > 150 >= room["tight"]


def test_load_is_balanced_by_what_providers_say(daemon):
    assert set(asked(daemon, "said-much") + asked(daemon, "said-little")) == {"said-much", "said-little"}
    models = asked(daemon, "as-said", 30)
    assert models.count("said-much") >= 25


@pytest.mark.parametrize("kind", ["down", "cut", "key"])
@pytest.mark.parametrize("pool", ["outage", "no-outage", "no-auth", "nothing"])
def test_what_sets_a_whole_provider_aside(daemon, pool, kind):
    name, first = f"{pool}-{kind}", f"{pool}-{kind}-1"
    assert asked(daemon, name, 2) == ["rest", "rest"]
    row = provider(daemon, f"p-{first}")
    aside = pool in {"down": ("outage", "no-auth"), "cut": ("outage", "no-auth"), "key": ("outage", "no-outage")}[kind]
    assert row["available"] is not aside, row["reason"]
    assert row["auth_valid"] is (kind != "key")
    told = events(daemon, "provider_deactivated", provider=f"p-{first}")
    assert len(told) == aside
    words = {"down": "of its models fail", "cut": "it cannot be reached", "key": "it needs a key"}[kind]
    if aside:
        assert words in row["reason"]
        assert words in told[0]["reason"]
        assert member(daemon, name, first)["status"] == "standby"
    else:
        assert row["reason"] == ""


# -- days and months --------------------------------------------------------------------------------------


@pytest.fixture
def clock(short):
    return Clock(short)


def test_a_month_ends_and_what_was_used_up_in_it_is_available_again(meshd, upstream, clock, eventually):
    """Budgets, quotas and pools' limits of a month; a day ends with it, and 24 hours do not."""
    cases = Cases(upstream(), apps={"me": {"match": {"uid": os.getuid()}, "budget": {"monthly_limit": 0.09}}})
    cases.model("rest")
    months = {
        "budget": {"provider": {"budget": {"monthly_limit": 0.02}}},
        "quota": {"provider": {"quota": {"requests": 2, "reset_schedule": "monthly"}}},
        "rolling": {"provider": {"quota": {"requests": 2, "reset_schedule": "rolling"}}},
        "rule": {},
    }
    for name, settings in months.items():
        cases.model(name, {"reply": "x"}, **CENT, **settings)
        cases.pool(name, name, "rest", strategy="priority-selection", model_priority=[name])
    cases.config["pools"]["rule"]["deactivation"] = {"request_limit": 2, "quota_window": "monthly"}
    cases.config["models"]["rest"]["pricing"] = {"input_per_1m": 0}
    cases.play()
    end = last_month_end()
    clock.set(end - 6)
    daemon = meshd(cases.config, env=clock.env)
    for name in months:
        assert asked(daemon, name, 3) == [name, name, "rest"]
    spent = limit(daemon.ask("GET", "/mesh/v1/budget")["data"], scope="app", name="me")
    assert (spent["spent"], spent["resets_at"]) == (0.08, end)
    assert member(daemon, "quota", "quota")["recovers_in"] == pytest.approx(end - clock.now, abs=2)
    assert clock.now < end, "too slow to see the month before"
    eventually(lambda: clock.now >= end)
    for name in ("quota", "rule"):
        eventually(lambda name=name: member(daemon, name, name)["status"] == "active")
    for name in months:
        assert asked(daemon, name) == [name if name != "rolling" else "rest"]
    spent = limit(daemon.ask("GET", "/mesh/v1/budget")["data"], scope="app", name="me")
    assert spent["spent"] == 0.03, "the account of the new month"
    rows = daemon.ask("GET", "/mesh/v1/stats?by=day&since=3600")["data"]
    assert [row["cost_total"] for row in rows if row["cost_total"]] == pytest.approx([0.08, 0.03])


def test_of_the_last_24_hours_what_is_older_does_not_count(meshd, upstream, clock):
    cases = Cases(upstream())
    cases.case("rolling", {"reply": "x"}, provider={"quota": {"requests": 2, "reset_schedule": "rolling"}})
    cases.play()
    began = last_month_end() - 20 * DAY

    def at(later: float) -> str:
        """Who answers three requests then."""
        clock.set(began + later)
        return "".join(model[-1] for model in asked(daemon, "rolling", 3))

    clock.set(began)
    daemon = meshd(cases.config, env=clock.env)
    assert asked(daemon, "rolling") == ["rolling-a"]
    assert at(DAY / 2) == "abb"
    assert member(daemon, "rolling", "rolling-a")["recovers_in"] == pytest.approx(DAY / 2, abs=90)
    assert at(DAY - 60) == "bbb"
    assert at(DAY + 120) == "abb", "the first is a day old, the second is not"
    assert at(DAY * 1.5 + 120) == "abb"
    # Of what was used before a restart only the day is known: it counts for a day from its end, or from the restart.
    for later, answers in [(DAY * 2, "bbb"), (DAY * 2.9, "bbb"), (DAY * 3 + 120, "aab")]:
        daemon.stop()
        clock.set(began + later)
        daemon.start()
        assert at(later) == answers, later / DAY


def test_statistics_of_any_time_by_anything_after_a_restart(meshd, upstream, clock):
    cases = Cases(upstream(), apps={"me": {"match": {"uid": os.getuid()}}})
    cases.case("chat", FAILS, {"reply": "x"}, deactivation={"retry_limit": 99})
    for model in ("chat-a", "chat-b"):
        cases.config["models"][model] |= CENT
    cases.play()
    now = clock.now
    started = {2 * DAY: 2, 3600: 3, 600: 4, 0: 1}  # so long ago → so many requests
    daemon = meshd(cases.config, start=False, env=clock.env)
    for ago, count in started.items():
        clock.set(now - ago)
        daemon.start()
        asked(daemon, "chat", count)
        daemon.stop()
    daemon.start()

    def stats(by, **query):
        text = "".join(f"&{name}={value}" for name, value in query.items())
        return daemon.ask("GET", f"/mesh/v1/stats?by={by}{text}")["data"]

    def requests(rows):
        return sum(row["requests_total"] for row in rows)

    for since, count in [(300, 1), (1800, 5), (7200, 8), (3 * DAY, 10)]:
        assert requests(stats("pool", since=since)) == count, since
    assert requests(stats("pool")) == 10
    assert requests(stats("pool", since=7200, until=1800)) == 3
    by_day = {row["name"]: row["requests_total"] for row in stats("day")}
    assert (by_day[min(by_day)], sum(by_day.values())) == (2, 10)
    by_hour = {row["name"]: row["requests_total"] for row in stats("hour", since=3 * DAY)}
    assert (len(by_hour) >= 2, sum(by_hour.values())) == (True, 10)
    for by in ("pool", "app", "user", "operation", "status", "pool,app", "app,day", "status,hour,user"):
        rows = stats(by, since=3 * DAY)
        assert requests(rows) == 10, by
        assert sum(row["cost_total"] for row in rows) == pytest.approx(0.10), by
        assert all(row["latency_p50"] is not None for row in rows if row["requests_success"]), by
    found = {row["name"]: (row["requests_total"], row["requests_failed"]) for row in stats("model")}
    assert found == {"chat-a": (10, 1), "chat-b": (1, 0)}, "of models, attempts"
    assert requests(stats("provider,model", since=300)) == 1
    [mine] = stats("app", pool="chat")
    assert (mine["name"], mine["requests_total"]) == ("me", 10)
    told = meshctl(daemon, "stats", "--by", "app,pool", "--since", "2h", "--where", "pool=chat")["data"]
    assert [(row["group"], row["requests_total"]) for row in told] == [({"app": "me", "pool": "chat"}, 8)]


def test_old_statistics_are_days_and_totals_are_for_ever(meshd, upstream, clock):
    cases = Cases(upstream())
    cases.case("chat")
    cases.play()
    now = clock.now
    daemon = meshd(cases.config, start=False, env=clock.env)
    for ago, count in {40 * DAY: 4, 20 * DAY: 3, 9 * DAY: 2, 0: 1}.items():
        clock.set(now - ago)
        daemon.start()
        asked(daemon, "chat", count)
        daemon.stop()
    daemon.start()

    def requests(by, since=None):
        query = "" if since is None else f"&since={since}"
        return [row["requests_total"] for row in daemon.ask("GET", f"/mesh/v1/stats?by={by}{query}")["data"]]

    for by in ("pool", "model", "provider", "app"):
        assert [requests(by, since) for since in (DAY, 10 * DAY, 60 * DAY, None)] == [[1], [3], [6], [10]], by
    assert requests("app,pool", 60 * DAY) == [6]
    assert requests("day") == [3, 2, 1]


# -- events -----------------------------------------------------------------------------------------------

LEAVES = "import sys, modelmesh; modelmesh.OpenAIClient(sys.argv[1], timeout=15).models.list()"

EVENTS: dict[str, tuple[set[str], str, set[str]]] = {  # type → its ids, its reason, what changed
    "actor_restarted": ({"actor"}, r"AttributeError: .+", {"restarts"}),
    "client_connected": ({"app", "pid", "user"}, r"", set()),
    "client_lost": ({"app", "pid", "user"}, r"its process ended|it closed its connection", set()),
    "budget_alert": ({"provider"}, r"provider p-paid has spent \$0\.01 of its \$0\.02 a day.*", {"spent", "limit"}),
    "budget_exceeded": ({"provider"}, r"provider p-paid has spent \$0\.02 of its \$0\.02 a day.*", {"spent", "limit"}),
    "request_hedged": ({"pool", "model", "request"}, r"late has not answered yet", {"from", "to"}),
    "stream_continued": ({"pool", "model", "provider", "request"}, r".+", {"pieces"}),
    "model_rotated": ({"pool", "model"}, r"broken-a → broken-b", {"from", "to"}),
    "model_deactivated": ({"pool", "model", "provider"}, r".+", {"until"}),
    "secret_rotated": ({"secret"}, r"its store has a new value", set()),
    "config_rejected": (set(), r".+", set()),
    "config_reloaded": (set(), r".+", set()),
}


def test_events_say_what_they_concern_and_why(meshd, upstream, short, eventually):
    crasher = crashing(short, "DiscoveryActor", 'messages.ModelsListed("p-paid", (1,))')  # 1 is not a model
    secrets = short / "secrets.env"
    secrets.write_text("K=sk-old-1234567\n")
    secrets.chmod(0o600)
    cases = Cases(upstream(), secrets={"store": "modelmesh.dotenv.v1", "path": str(secrets), "cache_ttl": "1h"})
    cases.model("paid", provider={"budget": {"daily_limit": 0.02, "alert_threshold": 0.5}}, **CENT)
    cases.pool("paid", "paid")
    cases.model("late", {"reply": "late", "delay": "10s"})
    cases.model("quick")
    cases.pool("raced", "late", "quick", hedge={"after": "50ms"})
    cases.case("broken", {"tokens": ["one ", "two "], "fault": "reset", "after": 1})
    cases.config["providers"]["p-quick"] |= {"api_key": "${secrets:K}", "auth": {"method": "bearer"}}
    cases.play()
    daemon = meshd(cases.config, env=crasher)
    asked(daemon, "paid", 2)
    with pytest.raises(MeshError):
        daemon.say(model="paid")
    assert asked(daemon, "raced") == ["quick"]
    assert list(daemon.say(model="broken", stream=True))[-1].mesh.continued == 1
    subprocess.run([sys.executable, "-c", LEAVES, str(daemon.socket)], timeout=20, check=True)
    secrets.write_text("K=sk-new-1234567\n")
    assert daemon.ask("POST", "/mesh/v1/reload")["ok"]
    daemon.write({"pools": {"paid": {"modles": []}}})
    assert not daemon.ask("POST", "/mesh/v1/reload")["ok"]
    (short / "crash").touch()
    for type, (ids, reason, changed) in EVENTS.items():
        [event, *_] = eventually(lambda type=type: events(daemon, type), what=type)
        assert event["type"] == type
        assert event["ids"].keys() >= ids, event
        assert all(event["ids"][id] for id in ids), event
        assert re.fullmatch(reason, event["reason"], re.DOTALL), event
        assert event["changed"].keys() >= changed, event
        assert event["at_ns"] > 1e18
    assert events(daemon, "actor_restarted")[0]["ids"] == {"actor": "discovery"}
    assert daemon.status()["actors"]
    assert asked(daemon, "raced") == ["quick"], "and it goes on"
