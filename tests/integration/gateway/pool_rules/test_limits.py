"""Rate limits in a real daemon: what headers say, what the configuration says, and who waits for how long."""

from __future__ import annotations

import threading
import time

import pytest

from modelmesh import MeshError
from tests.support.daemons.pool_rule_cases import Cases, explain, member

QUIET = {"retry_limit": 100}
HEADERS = {
    "openai": {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1m",
    },
    "openai-tokens": {
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-tokens": "3",
        "x-ratelimit-reset-tokens": "6m0s",
    },
    "anthropic": {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2099-01-01T00:00:00Z",
    },
    "anthropic-input": {
        "anthropic-ratelimit-input-tokens-limit": "40000",
        "anthropic-ratelimit-input-tokens-remaining": "0",
        "anthropic-ratelimit-input-tokens-reset": "2099-01-01T00:00:00Z",
    },
    "azure": {"x-ratelimit-remaining-requests": "0", "x-ratelimit-remaining-tokens": "90000"},
    "draft": {"RateLimit-Policy": '"default";q=100;w=60', "RateLimit": '"default";r=0;t=30'},
    "older-draft": {"RateLimit-Limit": "10", "RateLimit-Remaining": "0", "RateLimit-Reset": "30"},
}


@pytest.fixture(scope="module")
def daemon(module_meshd, server):
    cases = Cases(server, daemon={"queue_timeout": "5s"})
    case = cases.case
    for name, headers in HEADERS.items():
        case(name, {"reply": "x", "headers": headers})
    soon = {"x-ratelimit-limit-requests": "1", "x-ratelimit-remaining-requests": "0"}
    waits = {"reply": "x", "headers": soon | {"x-ratelimit-reset-requests": "700ms"}}
    case("stream", {"reply": "x", "headers": HEADERS["openai"]})
    cases.model("waits-a", waits)
    cases.pool("waits", "waits-a")
    case("refused", {"error": 429, "retry_after": 60}, {"reply": "x"}, deactivation=QUIET)
    cases.model("patient-a", {"error": 429, "headers": {"retry-after-ms": "600"}}, {"reply": "x"})
    cases.pool("patient", "patient-a")
    cases.model("impatient-a", {"error": 429, "retry_after": 60}, {"reply": "x"})
    cases.pool("impatient", "impatient-a", retry={"honor_retry_after": False, "initial_delay": "10ms"})
    case("rpm", provider={"rate_limit": {"rpm": 2}})
    case("tpm", {"reply": "x", "usage": {"prompt_tokens": 900, "completion_tokens": 100}},
         provider={"rate_limit": {"tpm": 2500}})  # fmt: skip
    case("told", {"reply": "x", "headers": {
        "x-ratelimit-limit-requests": "1000",
        "x-ratelimit-remaining-requests": "900",
        "x-ratelimit-reset-requests": "1m",
    }}, provider={"rate_limit": {"rpm": 2}})  # fmt: skip
    slow = {"reply": "x", "delay": "300ms"}
    case("at-once", slow, provider={"rate_limit": {"concurrency": 2}})
    case("at-once-told", {"reply": "x", "delay": "300ms", "headers": HEADERS["openai"] | {
        "x-ratelimit-remaining-requests": "50",
    }}, provider={"rate_limit": {"concurrency": 1}})  # fmt: skip
    cases.model("one-a", slow, provider={"rate_limit": {"concurrency": 1}})
    cases.pool("one", "one-a")
    cases.model("free-b")
    cases.pool("free", "free-b")
    cases.model("apart-a")
    cases.pool("apart", "apart-a", fallback_pools=["free"], rate_limit={"min_delta": "1h"})
    cases.model("paced-a")
    cases.pool("paced", "paced-a", rate_limit={"min_delta": "300ms"})
    cases.model("max-rpm-a")
    cases.pool("max-rpm", "max-rpm-a", fallback_pools=["free"], rate_limit={"max_rpm": 3})
    aware = {"strategy": "rate-limit-aware"}
    case("aware", provider={"rate_limit": {"rpm": 10}}, rate_limit={"threshold": 0.5}, **aware)
    case("aware-told", {"reply": "x", "headers": {
        "x-ratelimit-limit-requests": "100",
        "x-ratelimit-remaining-requests": "5",
        "x-ratelimit-reset-requests": "1m",
    }}, **aware)  # fmt: skip
    cases.play()
    return module_meshd(cases.config)


def asked(daemon, pool, times=1, **options):
    return "".join(daemon.say(model=pool, **options).mesh.model[-1] for _ in range(times))


def at_once(daemon, pool, times):
    """The answers of so many requests at the same time."""
    client = daemon.client()
    answers: list[object] = []

    def ask() -> None:
        try:
            answers.append(client.chat.completions.create(model=pool, messages=[{"role": "user", "content": "hi"}]))
        except MeshError as error:
            answers.append(error)

    threads = [threading.Thread(target=ask) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return answers


@pytest.mark.parametrize("name", HEADERS)
def test_what_a_header_says_is_left_sends_the_next_request_elsewhere(daemon, name):
    assert asked(daemon, name, 3) == "abb"
    assert member(daemon, name, f"{name}-a")["status"] == "active", "full is not broken"
    [stage] = (stage for stage in explain(daemon, name)["stages"] if stage["name"] == "limits")
    assert "left for" in stage["dropped"][0]["reason"]


def test_the_headers_of_a_stream_count_too(daemon):
    chunks = list(daemon.say(model="stream", stream=True))
    assert chunks[-1].mesh.model == "stream-a"
    assert asked(daemon, "stream") == "b"


def test_without_another_model_a_request_waits_for_the_reset(daemon):
    first, second = (daemon.say(model="waits") for _ in range(2))
    assert first.mesh.queue_time < second.mesh.queue_time
    assert 0.4 < second.mesh.queue_time < 5


def test_a_refused_request_goes_elsewhere_and_the_pause_is_honoured(daemon, server):
    assert asked(daemon, "refused", 3) == "bbb"
    assert server.served["by_model"]["refused-a"] == 1
    assert member(daemon, "refused", "refused-a")["status"] == "active"
    [stage] = (stage for stage in explain(daemon, "refused")["stages"] if stage["name"] == "limits")
    assert "p-refused-a asked us to pause refused-a; room in" in stage["dropped"][0]["reason"]
    daemon.ask("POST", "/mesh/v1/models/activate", {"id": "refused-a"})
    assert asked(daemon, "refused") == "a", "an operator knows better"


def test_without_another_model_a_refused_request_waits_as_it_was_told(daemon):
    began = time.monotonic()
    answer = daemon.say(model="patient")
    assert time.monotonic() - began > 0.6
    assert [attempt.reason for attempt in answer.mesh.attempts] == ["rate_limit", ""]


def test_retry_after_can_be_ignored(daemon):
    began = time.monotonic()
    assert asked(daemon, "impatient") == "a"
    assert time.monotonic() - began < 5


def test_requests_and_tokens_a_minute_as_configured(daemon):
    assert asked(daemon, "rpm", 4) == "aabb"
    assert asked(daemon, "tpm", 4, max_tokens=100) == "aaab"  # the third would have fitted, and used more


def test_headers_override_the_configured_requests_a_minute(daemon):
    assert asked(daemon, "told", 5) == "aaaaa"


def test_so_many_at_once_and_the_others_elsewhere(daemon):
    models = sorted(answer.mesh.model for answer in at_once(daemon, "at-once", 5))
    assert models == ["at-once-a"] * 2 + ["at-once-b"] * 3


def test_no_header_overrides_how_many_at_once(daemon):
    assert asked(daemon, "at-once-told") == "a"
    models = sorted(answer.mesh.model for answer in at_once(daemon, "at-once-told", 3))
    assert models == ["at-once-told-a"] + ["at-once-told-b"] * 2


def test_without_another_model_they_take_turns(daemon, server):
    answers = at_once(daemon, "one", 4)
    waits = sorted(answer.mesh.queue_time for answer in answers)
    assert waits == pytest.approx([0.0, 0.3, 0.6, 0.9], abs=0.25)


def test_a_pool_asks_a_model_no_sooner_again_than_it_says(daemon):
    assert asked(daemon, "apart", 3) == "abb"
    waits = [daemon.say(model="paced").mesh.queue_time for _ in range(3)]
    assert waits[0] < 0.1
    assert all(0.2 < wait < 1 for wait in waits[1:])


def test_a_pool_asks_a_model_no_more_often_a_minute_than_it_says(daemon):
    assert asked(daemon, "max-rpm", 5) == "aaabb"


def test_rate_limit_aware_leaves_at_the_threshold_and_sets_no_model_aside(daemon):
    assert asked(daemon, "aware", 8) == "aaaaa" + "bbb"
    assert member(daemon, "aware", "aware-a")["status"] == "active"
    assert asked(daemon, "aware-told", 3) == "abb"


# -- with a daemon of their own ---------------------------------------------------------------------------


def test_a_queue_has_an_end_and_so_has_patience(meshd, upstream, eventually):
    cases = Cases(upstream(), daemon={"max_queue": 2, "queue_timeout": "400ms"})
    cases.model("slow", {"reply": "x", "delay": "1500ms"}, provider={"rate_limit": {"concurrency": 1}})
    cases.pool("slow-only", "slow")
    cases.play()
    daemon = meshd(cases.config)
    answers = at_once(daemon, "slow-only", 4)
    errors = [answer for answer in answers if isinstance(answer, MeshError)]
    assert len(errors) == 3
    assert all((error.status_code, error.code) == (429, "queue_full") for error in errors)
    assert all(error.retry_after for error in errors)
    assert sorted("daemon.max_queue" in error.message for error in errors) == [False, False, True]
    eventually(lambda: daemon.status()["waiting"] == 0)
