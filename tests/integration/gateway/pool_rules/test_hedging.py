"""`hedge.after` in a real daemon: the first answer counts, the loser is cancelled and settled."""

from __future__ import annotations

import pytest

from modelmesh import MeshError
from tests.support.daemons.pool_rule_cases import Cases, events, explain

SOON = {"hedge": {"after": "100ms"}}
SLOW = {"reply": "too late", "delay": "10s"}
WORDS = ["one ", "two ", "three ", "four"]
DOLLAR_A_REQUEST = {"per_request": 1}


@pytest.fixture(scope="module")
def daemon(module_meshd, server):
    cases = Cases(server)
    case = cases.case
    case("slow", SLOW, **SOON)
    case("quick", {"reply": "quick"}, **SOON)
    case("stream", {"tokens": WORDS, "delay": "10s"}, **SOON)
    case("begun", {"tokens": WORDS, "chunk_delay": "800ms"}, hedge={"after": "1500ms"})
    cases.model("first-a", {"reply": "first", "delay": "300ms"})
    cases.model("second-b", {"reply": "second", "delay": "10s"})
    cases.pool("first-wins", "first-a", "second-b", **SOON)
    cases.model("fails-b", {"error": 500})
    cases.pool("hedge-fails", "first-a", "fails-b", retry={"max_attempts": 1}, **SOON)
    cases.pool("alone", "first-a", **SOON)
    cases.model("both-a", {"error": 500, "delay": "200ms"})
    cases.pool("both-fail", "both-a", "fails-b", retry={"max_attempts": 1}, deactivation={"retry_limit": 99}, **SOON)
    cases.model("priced-a", SLOW, pricing=DOLLAR_A_REQUEST)
    cases.model("priced-b", pricing=DOLLAR_A_REQUEST)
    cases.pool("priced", "priced-a", "priced-b", budget={"daily_limit": 1}, **SOON)
    slow_now_and_then = [{"reply": "quick", "times": 25}, {"reply": "slow", "delay": "10s"}]
    case("p95", *slow_now_and_then, hedge={"after": "p95"})
    case("p95-unknown", {"reply": "slow", "delay": "300ms"}, hedge={"after": "p95"})
    cases.play()
    return module_meshd(cases.config)


def hedges(mesh):
    """What an answer says of them, which is nothing where there were none."""
    return getattr(mesh, "hedges", 0)


def text(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_the_second_answers_and_the_first_is_cancelled_at_its_provider_and_settled(daemon, server, eventually):
    answer = daemon.say(model="slow")
    mesh = answer.mesh
    assert (answer.choices[0].message.content, mesh.model, mesh.hedges) == ("from slow-b", "slow-b", 1)
    assert [(each.model, each.reason) for each in mesh.attempts if each.model == "slow-a"] == [("slow-a", "cancelled")]
    eventually(lambda: server.served["cancelled"] >= 1)
    assert daemon.model("slow-a")["in_flight"] == 0
    assert daemon.model("slow-a")["tokens_in"] > 0, "it may have cost something"
    assert daemon.model("slow-a")["failures"] == 0, "no model is to blame"
    [event] = events(daemon, "request_hedged", pool="slow")
    assert event["ids"]["model"] == "slow-b"
    assert len(event["ids"]["request"]) == 32
    [row] = daemon.ask("GET", "/mesh/v1/stats?by=pool&name=slow")["data"]
    assert (row["hedges"], row["requests_total"], row["requests_failed"]) == (1, 1, 0)


def test_a_model_that_answers_in_time_is_asked_alone(daemon, server):
    mesh = daemon.say(model="quick").mesh
    assert (mesh.model, hedges(mesh)) == ("quick-a", 0)
    assert "quick-b" not in server.served["by_model"]


def test_a_stream_is_one_models_and_whole(daemon, eventually):
    chunks = list(daemon.say(model="stream", stream=True))
    assert text(chunks) == "from stream-b"
    assert {chunk.model for chunk in chunks} == {"stream-b"}
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].mesh.hedges == 1
    eventually(lambda: daemon.model("stream-a")["in_flight"] == 0)


def test_a_stream_that_has_begun_is_not_hedged(daemon, server):
    chunks = list(daemon.say(model="begun", stream=True))
    assert text(chunks) == "one two three four"
    assert chunks[-1].mesh.model == "begun-a"
    assert "begun-b" not in server.served["by_model"]


def test_the_first_may_answer_first_after_all(daemon):
    mesh = daemon.say(model="first-wins").mesh
    assert (mesh.model, mesh.hedges) == ("first-a", 1)
    assert daemon.model("second-b")["in_flight"] == 0


def test_a_hedge_that_fails_costs_nothing(daemon):
    mesh = daemon.say(model="hedge-fails").mesh
    assert (mesh.model, mesh.hedges) == ("first-a", 1)


def test_no_hedge_without_another_model(daemon):
    mesh = daemon.say(model="alone").mesh
    assert (mesh.model, hedges(mesh)) == ("first-a", 0)


def test_when_both_fail_the_error_names_both(daemon):
    with pytest.raises(MeshError) as caught:
        daemon.say(model="both-fail")
    assert sorted(attempt["model"] for attempt in caught.value.attempts) == ["both-a", "fails-b"]


def test_a_hedge_has_to_fit_the_budget_too(daemon):
    with pytest.raises(MeshError):
        daemon.client(timeout=1).chat.completions.create(model="priced", messages=[{"role": "user", "content": "hi"}])
    assert daemon.model("priced-b")["requests"] == 0
    assert not events(daemon, "request_hedged", pool="priced")


def test_after_the_95th_percentile_of_what_the_model_took_before(daemon):
    assert explain(daemon, "p95")["hedge"] == {"rule": "p95", "after": None}, "nothing is known yet"
    models = [daemon.say(model="p95").mesh.model for _ in range(25)]
    assert models.count("p95-a") >= 20
    assert explain(daemon, "p95")["hedge"]["after"] < 1
    mesh = daemon.say(model="p95").mesh
    while mesh.model == "p95-a":  # requests that were hedged without need left steps to play
        mesh = daemon.say(model="p95").mesh
    assert mesh.hedges == 1
    assert hedges(daemon.say(model="p95-unknown").mesh) == 0


def test_explain_says_when_and_sends_nothing(daemon, server):
    before = server.served["served"]
    assert explain(daemon, "slow")["hedge"] == {"rule": 0.1, "after": 0.1}
    assert server.served["served"] == before
