"""`cache` of a pool in a real daemon: how long, how much, for what, and what it says of itself."""

from __future__ import annotations

import pytest

from modelmesh import MeshError
from tests.support.daemons.pool_rule_cases import Cases, explain


@pytest.fixture(scope="module")
def daemon(module_meshd, server):
    cases = Cases(server)
    rules = {
        "kept": {"ttl": "1h"},
        "brief": {"ttl": "300ms"},
        "small": {"max_size": 20_000},
        "shared": {"scope": "shared"},
        "user": {"scope": "user"},
    }
    for name, cache in rules.items():
        cases.model(name, {"reply": "x" * 2000}, pricing={"per_request": 1})
        cases.pool(name, name, cache=cache)
    cases.model("broken", {"error": 500}, {"reply": "x"})
    cases.pool("broken", "broken", cache={}, retry={"max_attempts": 1})
    cases.model("a", {"error": 500}, {"reply": "a"})
    cases.model("b", {"reply": "b"})
    cases.pool("rotated", "a", "b", cache={}, retry={"max_attempts": 1})
    cases.play()
    return module_meshd(cases.config)


def kept(daemon, pool, text="hi", **options):
    """Whether the answer was a kept one."""
    mesh = daemon.say(text, model=pool, **{"temperature": 0, **options}).mesh
    assert mesh.cost == (0.0 if mesh.cached else 1.0)
    return bool(mesh.cached)


@pytest.mark.parametrize("pool", ["kept", "shared", "user"])
def test_the_same_request_is_answered_once_and_free_afterwards(daemon, server, pool):
    assert [kept(daemon, pool) for _ in range(3)] == [False, True, True]
    assert server.served["by_model"][pool] == 1
    assert daemon.model(pool)["cost"] == 1.0
    [row] = daemon.ask("GET", f"/mesh/v1/stats?by=pool&name={pool}")["data"]
    assert (row["cache_hits"], row["requests_total"], row["cost_total"]) == (2, 3, 1.0)


def test_another_request_is_another_answer(daemon):
    assert not kept(daemon, "kept", "something else")
    assert not kept(daemon, "kept", "something else", max_tokens=5)
    assert not kept(daemon, "kept", "something else", seed=1)
    assert kept(daemon, "kept", "something else", user="whoever asks")


def test_an_answer_is_kept_for_its_time_and_no_longer(daemon, eventually):
    assert [kept(daemon, "brief") for _ in range(2)] == [False, True]
    eventually(lambda: not kept(daemon, "brief"))


def test_when_there_is_no_room_the_longest_unused_goes(daemon):
    for number in range(10):
        assert not kept(daemon, "small", f"question {number}")
    assert kept(daemon, "small", "question 9")
    assert not kept(daemon, "small", "question 0")


def test_what_the_app_wishes(daemon):
    def asked(**headers):
        mesh = daemon.say("a wish", model="kept", extra_headers=headers).mesh
        return bool(mesh.cached)

    assert not asked()
    assert not asked(), "nothing says that the answer would be the same again"
    assert not asked(**{"x-mesh-cache": "true"})
    assert asked(**{"x-mesh-cache": "true"})
    assert not asked(**{"x-mesh-cache": "false"})
    kept(daemon, "kept")
    assert kept(daemon, "kept")
    mesh = daemon.say(model="kept", temperature=0, extra_headers={"cache-control": "no-cache"}).mesh
    assert not mesh.cached
    with pytest.raises(MeshError) as caught:
        asked(**{"x-mesh-cache": "perhaps"})
    assert (caught.value.status_code, caught.value.param) == (400, "x-mesh-cache")


def test_failures_are_not_kept_and_answers_of_the_second_model_are(daemon):
    with pytest.raises(MeshError):
        daemon.say(model="broken", temperature=0)
    assert not daemon.say(model="broken", temperature=0).mesh.cached
    assert daemon.say(model="broken", temperature=0).mesh.cached
    first, second = (daemon.say(model="rotated", temperature=0) for _ in range(2))
    assert (first.mesh.model, second.mesh.model, second.mesh.cached) == ("b", "b", True)


def test_explain_says_whether_it_applies(daemon, server):
    before = server.served["served"]
    assert explain(daemon, "kept")["cache"] == {"applies": False, "ttl": 3600.0, "scope": "app", "age": None}
    assert explain(daemon, "kept", temperature=0)["cache"]["applies"]
    assert server.served["served"] == before
