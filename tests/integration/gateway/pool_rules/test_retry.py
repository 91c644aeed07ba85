"""`retry`, `error`, timeouts and what else a provider's section says of one call, in a real daemon."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from modelmesh import MeshError
from tests.support.daemons.pool_rule_cases import Cases

SOON = {"backoff": "fixed", "initial_delay": "10ms"}
QUIET = {"retry_limit": 100}


@pytest.fixture(scope="module")
def daemon(module_meshd, server):
    cases = Cases(server)
    case = cases.case
    down = {"error": 500}
    case("three", down, retry={"max_attempts": 3, **SOON}, deactivation=QUIET)
    case("twice", {"error": 500}, {"reply": "x"}, retry={"max_attempts": 2, **SOON}, deactivation=QUIET)
    case("fixed", down, retry={"max_attempts": 3, "backoff": "fixed", "initial_delay": "150ms"}, deactivation=QUIET)
    case("not-503", {"error": 503}, retry={"max_attempts": 3, "non_retryable_codes": [503], **SOON}, deactivation=QUIET)
    case("its-503", {"error": 503}, provider={"error": {"retryable_codes": [500], "non_retryable_codes": [503]}},
         retry={"max_attempts": 3, **SOON}, deactivation=QUIET)  # fmt: skip
    case("wrong", {"error": 400, "message": "no good"}, retry={"max_attempts": 3, "retryable_codes": [400], **SOON})
    for scope in ("same_model", "same_provider", "any"):
        name = f"scope-{scope.replace('_', '-')}"
        case(name, down, retry={"max_attempts": 1, "scope": scope}, deactivation=QUIET)
        cases.model(f"{name}-c", {"reply": "x"})
        cases.config["models"][f"{name}-c"]["provider"] = f"p-{name}-a"
        cases.config["pools"][name]["models"].append(f"{name}-c")
    case("deadline", down, retry={"max_attempts": 99, "backoff": "fixed", "initial_delay": "200ms",
                                  "deadline": "500ms", "scope": "same_model"}, deactivation=QUIET)  # fmt: skip
    case("late", {"reply": "x", "delay": "10s"}, provider={"timeout": "200ms"}, retry={"max_attempts": 1, **SOON})
    case("inside", {"error": 500, "times": 2}, {"reply": "x"}, provider={"max_retries": 2})
    cases.play()
    return module_meshd(cases.config)


def attempts(daemon, pool):
    return Counter(attempt.model[-1] for attempt in daemon.say(model=pool).mesh.attempts)


def test_so_many_attempts_at_one_model_before_the_next(daemon):
    assert attempts(daemon, "three") == {"a": 3, "b": 1}
    assert attempts(daemon, "twice") == {"a": 2}


def test_a_fixed_back_off(daemon):
    began = time.monotonic()
    attempts(daemon, "fixed")
    assert 0.25 < time.monotonic() - began < 5


def test_codes_that_asking_again_does_not_change(daemon):
    assert attempts(daemon, "not-503") == {"a": 1, "b": 1}
    assert attempts(daemon, "its-503") == {"a": 1, "b": 1}


def test_a_wrong_request_is_sent_once_whatever_is_listed(daemon, server):
    with pytest.raises(MeshError) as caught:
        daemon.say(model="wrong")
    assert (caught.value.status_code, caught.value.message) == (400, "no good")
    assert server.served["by_model"]["wrong-a"] == 1
    assert "wrong-b" not in server.served["by_model"]


def test_where_the_next_attempt_may_go(daemon):
    assert attempts(daemon, "scope-any") == {"a": 1, "b": 1}
    assert attempts(daemon, "scope-same-provider") == {"a": 1, "c": 1}
    with pytest.raises(MeshError):
        daemon.say(model="scope-same-model")


def test_one_deadline_for_all_attempts(daemon, server):
    began = time.monotonic()
    with pytest.raises(MeshError) as caught:
        daemon.say(model="deadline")
    assert time.monotonic() - began < 3
    assert 2 <= server.served["by_model"]["deadline-a"] <= 4
    assert caught.value.status_code in (502, 504)


def test_a_call_may_take_so_long(daemon):
    began = time.monotonic()
    assert attempts(daemon, "late") == {"a": 1, "b": 1}
    assert time.monotonic() - began < 5


def test_retries_inside_the_provider_are_not_heard_of(daemon, server):
    answer = daemon.say(model="inside")
    assert [attempt.model for attempt in answer.mesh.attempts] == ["inside-a"]
    assert server.served["by_model"]["inside-a"] == 3
    assert daemon.model("inside-a")["failures"] == 0
