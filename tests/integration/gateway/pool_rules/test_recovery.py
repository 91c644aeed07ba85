"""When a model is set aside and when it is back, in a real daemon: `deactivation`, `recovery`, `provider_recovery`."""

from __future__ import annotations

import threading
import time

import pytest

from modelmesh import MeshError
from tests.support.daemons.clocks.midnight import DAY, zone_with_midnight_in
from tests.support.daemons.pool_rule_cases import Cases, events, limit, member, provider

FAILS, ANSWERS = {"error": 503}, {"reply": "well"}
PATIENT = {"retry_limit": 100}  # consecutive failures are not what sets it aside
LONG = {"recovery": {"cooldown": "1h"}}
FOR_A_MOMENT = {"recovery": {"cooldown": "100ms", "max_cooldown": "200ms"}}
USAGE = {"usage": {"prompt_tokens": 60, "completion_tokens": 40}}


@pytest.fixture(scope="module")
def daemon(module_meshd, server):
    cases = Cases(server)
    case = cases.case
    case("rate", *[ANSWERS, FAILS] * 4, deactivation=PATIENT | {"error_rate_threshold": 0.5, "window": "1h"}, **LONG)
    case("rate-of-few", ANSWERS, FAILS, FAILS, ANSWERS, deactivation=PATIENT | {"error_rate_threshold": 0.5}, **LONG)
    case("codes", {"error": 503, "times": 2}, {"error": 500}, deactivation={"retry_limit": 1, "error_codes": [500]})
    case("in-a-row", FAILS, FAILS, ANSWERS, FAILS, deactivation={"retry_limit": 3}, **LONG)
    cases.model("free-b")
    cases.pool("free", "free-b")
    for name, rules in {
        "requests": {"deactivation": {"request_limit": 2}, "recovery": {"cooldown": "300ms"}},
        "tokens": {"deactivation": {"token_limit": 500}, **LONG},
        "money": {"deactivation": {"budget_limit": 2.5}, **LONG},
        "daily": {"deactivation": {"request_limit": 2, "quota_window": "daily"}},
        "monthly": {"deactivation": {"request_limit": 2, "quota_window": "monthly"}},
        "by-hand": {"deactivation": {"request_limit": 1}, "recovery": {"on_quota_reset": False}},
        "window": {"deactivation": {"maintenance_window": "* * * * * 2m"}},
        "no-window": {"deactivation": {"maintenance_window": "0 0 29 2 * 1m"}},
    }.items():
        cases.model(f"{name}-a", {"reply": "x", **USAGE}, pricing={"per_request": 1})
        cases.pool(name, f"{name}-a", fallback_pools=["free"], **rules)
    case("growing", FAILS, recovery={"cooldown": "100ms", "max_cooldown": "300ms"})
    case("tested", FAILS, {"reply": "well", "delay": "400ms"}, ANSWERS, **FOR_A_MOMENT)
    case("forbidden", {"error": 401, "message": "bad key"}, **LONG)
    case("forgiven", {"error": 401, "message": "bad key"}, provider_deactivation=["on_api_outage"], **LONG)
    case("held", {"error": 401, "message": "bad key"}, ANSWERS, provider_recovery="on_manual", **FOR_A_MOMENT)
    case("quota", {"error": 429, "code": "insufficient_quota"}, ANSWERS, recovery={"quota_reset_schedule": "daily_utc"})
    cases.pool("only-window", "window-a", deactivation={"maintenance_window": "* * * * * 2m"})
    # The same model in two pools: what one pool's rule sets aside is the other's still.
    cases.pool("elsewhere", "rate-a")
    cases.pool("held-elsewhere", "held-a", recovery={"cooldown": "100ms"})
    cases.play()
    return module_meshd(cases.config)


def asked(daemon, pool, times=1, **options):
    """Which model answered each of so many requests: that of the case, a, or b, which may always be asked."""
    return "".join(daemon.say(model=pool, **options).mesh.model[-1] for _ in range(times))


def test_an_error_rate_over_the_window_sets_a_model_aside(daemon):
    assert asked(daemon, "rate", 8) == "ababab" + "bb"  # a fails every other time; the sixth is one half of six
    row = member(daemon, "rate", "rate-a")
    assert row["status"] == "standby"
    assert "3 of its last 6 requests failed within 1 h" in row["reason"]
    assert asked(daemon, "elsewhere") == "a"


def test_a_few_failures_are_not_a_rate(daemon):
    assert asked(daemon, "rate-of-few", 4) == "abba"
    row = member(daemon, "rate-of-few", "rate-of-few-a")
    assert (row["status"], row["error_rate"]) == ("active", None)


def test_only_listed_codes_count(daemon):
    assert asked(daemon, "codes", 2) == "bb"
    assert member(daemon, "codes", "codes-a")["status"] == "active"
    asked(daemon, "codes")
    assert "scripted error 500" in member(daemon, "codes", "codes-a")["reason"]


def test_a_success_ends_a_row_of_failures(daemon):
    assert asked(daemon, "in-a-row", 6) == "bba" + "bbb"
    assert member(daemon, "in-a-row", "in-a-row-a")["reason"].startswith("3 failures in a row")


def test_so_many_requests_and_it_rests_and_is_back_untested(daemon, eventually):
    assert asked(daemon, "requests", 3) == "aab"
    row = member(daemon, "requests", "requests-a")
    assert (row["status"], row["reason"]) == ("standby", "it has used up 2 requests since it came back")
    eventually(lambda: member(daemon, "requests", "requests-a")["status"] == "active")
    assert asked(daemon, "requests", 3) == "aab"
    [first, second] = events(daemon, "model_deactivated", pool="requests")
    assert first["reason"] == second["reason"]


def test_so_many_tokens_and_it_rests(daemon):
    # 100 each, by the provider's count. Of the fourth nobody knows beforehand that it would fit into the 200 that are
    # left: it might need more, and is asked elsewhere. Nothing but time will give the model more, so it rests.
    assert asked(daemon, "tokens", 5, max_tokens=40) == "aaabb"
    assert member(daemon, "tokens", "tokens-a")["reason"] == "too little is left of its 500 tokens since it came back"


def test_so_much_money_and_it_rests(daemon):
    assert asked(daemon, "money", 4, max_tokens=10) == "aabb"
    assert member(daemon, "money", "money-a")["reason"] == "too little is left of its 2.5 USD since it came back"


@pytest.mark.parametrize(("pool", "window", "longest"), [("daily", "day", DAY), ("monthly", "month", 31 * DAY)])
def test_a_quota_window_ends_with_the_calendars(daemon, pool, window, longest):
    assert asked(daemon, pool, 3) == "aab"
    row = member(daemon, pool, f"{pool}-a")
    assert row["status"] == "standby"
    assert 0 < row["recovers_in"] <= longest
    used = limit(daemon.model(f"{pool}-a")["limits"], pool=pool)
    assert (used["window"], used["spent"], used["remaining"]) == (window, 2, 0)
    assert used["resets_at"] == pytest.approx(time.time() + row["recovers_in"], abs=2)


def test_what_no_reset_brings_back_an_operator_does(daemon):
    assert asked(daemon, "by-hand", 2) == "ab"
    assert member(daemon, "by-hand", "by-hand-a")["recovers_in"] is None
    daemon.ask("POST", "/mesh/v1/models/activate", {"id": "by-hand-a"})
    assert asked(daemon, "by-hand", 2) == "ab"


def test_in_its_maintenance_window_a_pool_rests(daemon):
    assert asked(daemon, "window") == "b"
    with pytest.raises(MeshError) as caught:
        daemon.say(model="only-window")
    assert (caught.value.status_code, caught.value.code) == (503, "no_active_model")
    assert "maintenance window '* * * * * 2m', for another" in caught.value.message
    assert caught.value.retry_after > 120, "the next one begins before this one ends"
    assert asked(daemon, "no-window") == "a"


def test_a_cooldown_doubles_up_to_the_longest(daemon, eventually):
    for _ in range(4):
        eventually(lambda: member(daemon, "growing", "growing-a")["status"] != "standby")
        assert asked(daemon, "growing") == "b"
    rests = [
        event["changed"]["until"] - event["at_ns"] / 1e9
        for event in events(daemon, "model_deactivated", pool="growing")
    ]
    assert rests == pytest.approx([0.1, 0.2, 0.3, 0.3], abs=0.05)


def test_one_request_at_a_time_tests_a_model_on_probation(daemon, server, eventually):
    assert asked(daemon, "tested") == "b"
    eventually(lambda: member(daemon, "tested", "tested-a")["status"] == "probation")
    before = server.served["by_model"]["tested-a"]
    daemon.client()
    models: list[str] = []
    threads = [threading.Thread(target=lambda: models.append(daemon.say(model="tested").mesh.model)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(models) == ["tested-a"] + ["tested-b"] * 5
    assert server.served["by_model"]["tested-a"] == before + 1
    assert asked(daemon, "tested") == "a"


def test_a_refused_key_sets_the_provider_aside_at_once_unless_the_pool_says_otherwise(daemon):
    assert asked(daemon, "forbidden") == "b"
    assert not provider(daemon, "p-forbidden-a")["available"]
    assert "bad key" in provider(daemon, "p-forbidden-a")["reason"]
    assert asked(daemon, "forgiven") == "b"
    row = provider(daemon, "p-forgiven-a")
    assert (row["available"], row["auth_valid"]) == (True, False)


def test_a_provider_that_failed_waits_for_an_operator_where_the_pool_says_so(daemon, eventually):
    assert asked(daemon, "held") == "b"
    eventually(lambda: member(daemon, "held-elsewhere", "held-a")["status"] == "probation")
    assert asked(daemon, "held-elsewhere") == "a"  # which is back: it answered
    row = member(daemon, "held", "held-a")
    assert (row["status"], row["recovers_in"]) == ("standby", None)
    assert "an operator has to bring it back" in row["reason"]
    assert asked(daemon, "held") == "b"
    daemon.ask("POST", "/mesh/v1/models/activate", {"id": "held-a"})
    assert asked(daemon, "held") == "a"


def test_a_quota_that_the_provider_says_is_used_up_is_back_with_the_calendar(daemon):
    assert asked(daemon, "quota", 2) == "bb"
    row = daemon.model("quota-a")
    assert row["status"] == "standby"
    now = time.time()
    assert member(daemon, "quota", "quota-a")["recovers_in"] == pytest.approx(DAY - now % DAY, abs=5)


# -- with a daemon of their own ---------------------------------------------------------------------------


def test_a_day_ends_and_the_quota_of_a_pool_and_of_a_provider_is_available_again(meshd, upstream, short, eventually):
    cases = Cases(upstream(), daemon={"timezone": "Test/Midnight"})
    cases.model("rule-a")
    cases.model("rule-b")
    cases.pool("free", "rule-b")
    cases.pool("rule", "rule-a", fallback_pools=["free"], deactivation={"request_limit": 1, "quota_window": "daily"})
    cases.case("quota", ANSWERS, provider={"quota": {"requests": 2, "reset_schedule": "daily"}})
    cases.play()
    midnight = zone_with_midnight_in(4, short)
    daemon = meshd(cases.config, env={"PYTHONTZPATH": str(short)})
    assert asked(daemon, "rule", 2) == "ab"
    assert asked(daemon, "quota", 3) == "aab"
    assert provider(daemon, "p-quota-a")["reason"] == "it has used up 2 requests of the day"
    assert time.time() < midnight, "too slow to see the day before"
    eventually(lambda: time.time() >= midnight)
    # Untested, and without anybody having asked for it.
    eventually(lambda: events(daemon, "provider_recovered", provider="p-quota-a"))
    eventually(lambda: events(daemon, "model_activated", pool="rule", model="rule-a"))
    assert asked(daemon, "rule", 2) == "ab"
    assert asked(daemon, "quota", 3) == "aab"


def test_rests_outlive_a_restart(meshd, upstream):
    cases = Cases(upstream())
    cases.case("failing", FAILS, **LONG)
    cases.case("refused", {"error": 401}, provider_recovery="on_manual", **LONG)
    cases.model("used-a")
    cases.pool("used", "used-a", fallback_pools=["quota"], deactivation={"request_limit": 1, "quota_window": "monthly"})
    cases.case("quota", ANSWERS, provider={"quota": {"requests": 1, "reset_schedule": "rolling"}})
    cases.play()
    daemon = meshd(cases.config)
    pools = ["failing", "refused", "used", "quota"]
    assert [asked(daemon, pool) for pool in pools] == ["b", "b", "a", "a"]
    before = [member(daemon, pool, f"{pool}-a")["reason"] for pool in pools]
    assert all(before)
    daemon.stop()
    daemon.start()
    assert [member(daemon, pool, f"{pool}-a")["reason"] for pool in pools] == before
    assert [asked(daemon, pool) for pool in pools] == ["b"] * 4
