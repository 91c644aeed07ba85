"""Every way a provider can fail, before the first content and after it, on a real socket.

The app gets one whole answer, once, with one id, and notices nothing; or, where the pool says `terminate`, the text so
far and StreamInterrupted. Both attempts are paid for.
"""

from __future__ import annotations

import socket
from typing import Any

import pytest

import modelmesh
from tests.support.answers.stream_faults import FAULTS
from tests.support.apps.stream_app import PRICES, Money, ask

WORDS = ["The ", "quick ", "brown ", "fox ", "jumps."]
TEXT = "".join(WORDS)
BEGUN = "".join(WORDS[:2])

PHASES: dict[str, dict[str, Any]] = {"before": {}, "role": {"preface": True}, "after": {"after": 2}}
AT_ONCE: dict[str, dict[str, Any] | None] = {
    "timeout": {"fault": "timeout"},
    "late-headers": {"reply": "too late", "delay": "20s"},
    "400-tools": {"error": 400, "message": "tools is not supported by this model", "code": "unsupported_parameter"},
    "401": {"error": 401, "message": "bad key"},
    "402": {"error": 402, "message": "no credit"},
    "403": {"error": 403, "message": "not yours"},
    "404": {"error": 404, "message": "no such model", "code": "model_not_found"},
    "408": {"error": 408},
    "429": {"error": 429, "retry_after": 60},
    "500": {"error": 500},
    "502": {"error": 502},
    "503": {"error": 503},
    "504": {"error": 504},
    "529": {"error": 529},
    "refused": None,
}
HARMLESS: dict[str, dict[str, Any]] = {
    "pause": {"fault": "pause", "pause": "50ms"},
    "trickle-in-time": {"byte_delay": 0.00001},
    "big-chunk": {},
}
BIG = "x" * 5_000_000
MATRIX = [(phase, fault) for fault in FAULTS for phase in PHASES]
SAID = {name: str(step["message"]) for name, step in FAULTS.items() if "message" in step}


def steps() -> dict[str, dict[str, Any] | None]:
    """Model → what it does."""
    made: dict[str, dict[str, Any] | None] = {"healthy": {"tokens": WORDS}}
    for name, step in {**FAULTS, **HARMLESS}.items():
        tokens = [*WORDS[:2], BIG, *WORDS[2:]] if name == "big-chunk" else WORDS
        made |= {f"{phase}-{name}": {"tokens": tokens, **step, **when} for phase, when in PHASES.items()}
    return made | AT_ONCE


@pytest.fixture(scope="module")
def upstream_server(module_upstream):
    return module_upstream({"script": {name: [step] for name, step in steps().items() if step is not None}})


@pytest.fixture(scope="module")
def daemon(module_meshd, upstream_server):
    """A pool for each fault: the faulty model first, a healthy one after it. Each faulty model has a provider of its
    own, so that no fault is another's."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
    names = list(steps())
    calm = {"first_token_timeout": "10s", "idle_timeout": "10s"}
    short = {"first_token_timeout": "300ms", "idle_timeout": "300ms"}
    return module_meshd(
        {
            "providers": {
                f"p-{name}": upstream_server.provider(
                    timeout="10s" if name.endswith(tuple(HARMLESS)) or name == "healthy" else "1s",
                    **({"base_url": closed} if name == "refused" else {}),
                )
                for name in names
            },
            "models": {
                f"m-{name}": {
                    "provider": f"p-{name}",
                    "model": name,
                    "capabilities": ["chat-completion"],
                    "pricing": PRICES,
                }
                for name in names
            },
            "pools": {
                prefix + name: {
                    "models": [f"m-{name}", "m-healthy"],
                    "strategy": "priority-selection",
                    "model_priority": [f"m-{name}"],
                    "retry": {"max_attempts": 1},
                    "stream": {**(calm if name.endswith(tuple(HARMLESS)) else short), "on_failure": on_failure},
                }
                for name in names
                for prefix, on_failure in (("", "continue"), ("terminate-", "terminate"))
            },
            "discovery": {"health": {"enabled": False}},
        }
    )


@pytest.fixture
def line(daemon, dial):
    return dial(daemon.socket)


@pytest.fixture(scope="module")
def client(daemon):
    return daemon.client()


def as_new(daemon, name):
    """An earlier test's failure of it is forgotten."""
    daemon.ask("POST", "/mesh/v1/models/activate", {"id": f"m-{name}"})


@pytest.mark.parametrize(("phase", "fault"), MATRIX)
def test_a_stream_that_fails_is_one_whole_answer_all_the_same(daemon, upstream_server, line, phase, fault):
    name = f"{phase}-{fault}"
    as_new(daemon, name)
    money = Money(daemon, upstream_server, name, "healthy")
    stream = ask(line, name)
    stream.is_one_answer(TEXT)
    assert stream.chunks[0]["id"].endswith(name if phase == "after" else "healthy")
    assert stream.attempts == [f"m-{name}", "m-healthy"]
    assert stream.mesh["model"] == "m-healthy"
    assert stream.mesh.get("continued", 0) == (phase == "after")
    failed, answered = stream.mesh["attempts"]
    assert (bool(failed["reason"]), answered["reason"]) == (True, "")
    assert SAID.get(fault, "") in failed["message"]
    money.is_settled()
    if phase == "after":
        assert money.spent(name) >= money.delivered(name) > 0
        assert stream.usages[0]["completion_tokens"] >= 2 + len(WORDS)
    assert money.spent("healthy") == money.delivered("healthy") > 0
    assert round(stream.mesh["cost"] * 1e9) == money.spent(name) + money.spent("healthy")


@pytest.mark.parametrize("name", AT_ONCE)
def test_a_stream_that_never_begins_is_answered_by_another_model(daemon, upstream_server, line, name):
    as_new(daemon, name)
    money = Money(daemon, upstream_server, name, "healthy")
    stream = ask(line, name)
    stream.is_one_answer(TEXT)
    assert stream.attempts == [f"m-{name}", "m-healthy"]
    assert stream.mesh["attempts"][0]["message"]
    assert "continued" not in stream.mesh
    money.is_settled()
    if name[0].isdigit() or name == "refused":
        assert money.spent(name) == 0, "it was refused"


@pytest.mark.parametrize("name", HARMLESS)
@pytest.mark.parametrize("phase", PHASES)
def test_what_only_looks_like_a_failure_is_none(daemon, upstream_server, line, phase, name):
    name = f"{phase}-{name}"
    money = Money(daemon, upstream_server, name, "healthy")
    stream = ask(line, name)
    stream.is_one_answer(BEGUN + BIG + "".join(WORDS[2:]) if name.endswith("big-chunk") else TEXT)
    assert stream.attempts == [f"m-{name}"]
    money.is_settled()
    assert money.spent(name) == money.delivered(name) > 0
    assert money.spent("healthy") == 0


UNARY = [f"before-{fault}" for fault in FAULTS if fault != "clean-close"]  # which is cut-chunk without a stream


@pytest.mark.parametrize("name", [*UNARY, *AT_ONCE])
def test_a_request_that_fails_is_answered_elsewhere(daemon, upstream_server, client, name):
    as_new(daemon, name)
    money = Money(daemon, upstream_server, name, "healthy")
    answer = client.chat.completions.create(model=name, messages=[{"role": "user", "content": "hi"}])
    assert answer.choices[0].message.content == TEXT
    assert [attempt.model for attempt in answer.mesh.attempts] == [f"m-{name}", "m-healthy"]
    money.is_settled()
    assert money.spent("healthy") == money.delivered("healthy") > 0


@pytest.mark.parametrize("name", [f"after-{fault}" for fault in FAULTS])
def test_where_no_model_may_continue_the_stream_ends_with_its_text(daemon, upstream_server, client, name):
    as_new(daemon, name)
    money = Money(daemon, upstream_server, name, "healthy")
    pieces: list[str] = []

    def read():
        messages = [{"role": "user", "content": "hi"}]
        for chunk in client.chat.completions.create(model=f"terminate-{name}", messages=messages, stream=True):
            pieces.append(chunk.choices[0].delta.content or "")

    with pytest.raises(modelmesh.StreamInterrupted) as caught:
        read()
    assert "".join(pieces) == BEGUN
    error = caught.value
    assert error.text == BEGUN
    assert (error.status_code, error.code) == (502, "stream_interrupted")
    assert [attempt["model"] for attempt in error.attempts] == [f"m-{name}"]
    money.is_settled()
    assert money.spent(name) > 0
    assert money.spent("healthy") == 0


def test_when_all_fail_the_error_names_every_attempt(daemon, client):
    faulty = ["500", "before-html", "timeout"]
    for name in faulty:
        as_new(daemon, name)
    config = daemon.ask("GET", "/mesh/v1/config")["config"]
    config["pools"]["all"] = {
        "models": [f"m-{name}" for name in faulty],
        "retry": {"max_attempts": 1},
        "deactivation": {"retry_limit": 100},
    }
    daemon.write(config)
    assert daemon.ask("POST", "/mesh/v1/reload")["ok"]
    with pytest.raises(modelmesh.AllProvidersExhaustedError) as caught:
        client.chat.completions.create(model="all", messages=[{"role": "user", "content": "hi"}])
    attempts = caught.value.attempts
    assert [attempt["model"] for attempt in attempts] == [f"m-{name}" for name in faulty]
    assert attempts[0]["status"] == 500
    assert all(attempt["duration"] >= 0 for attempt in attempts)
