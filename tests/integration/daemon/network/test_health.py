"""A provider that requests found broken stays aside until something has really shown that it works."""

from __future__ import annotations

import time

import pytest

import modelmesh

FAST = {"retry": {"max_attempts": 2}, "recovery": {"cooldown": "1h", "max_cooldown": "2h"}}


def behind(server, **provider):
    second = {"connector": "modelmesh.scripted.v1", "script": [{"reply": "second"}]}
    model = {"capabilities": ["chat-completion"]}
    return {
        "providers": {"first": server.provider(**provider), "second": second},
        "models": {"first.chat": {"provider": "first", **model}, "second.chat": {"provider": "second", **model}},
        "pools": {"chat": {"capability": "chat-completion", **FAST}},
    }


def status(daemon):
    row = daemon.ask("GET", "/mesh/v1/providers")["data"][0]
    return "active" if not row["reason"] else "probation" if row["available"] else "standby"


def watch(daemon, seconds):
    seen = set()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        seen.add(status(daemon))
        time.sleep(0.05)
    return seen


def test_a_list_of_models_is_not_proof_that_a_refused_key_is_good(meshd, upstream):
    server = upstream([{"error": 401, "message": "wrong key"}])
    daemon = meshd(behind(server))
    assert daemon.say(model="chat").mesh.model == "second.chat"
    # The probe that the failure brings is answered within two seconds: one request may test the key.
    assert "active" not in watch(daemon, 3)
    with pytest.raises(modelmesh.MeshError, match="wrong key"):
        daemon.say(model="first.chat")
    # It was refused again: now the cooldown stands, whatever a probe says.
    assert watch(daemon, 3) == {"standby"}


def test_an_outage_lasts_until_a_probe_is_answered(meshd, upstream, eventually):
    server = upstream()
    daemon = meshd(behind(server))
    assert daemon.say(model="chat").mesh.model == "first.chat"
    server.kill()
    for _ in range(2):
        assert daemon.say(model="chat").mesh.model == "second.chat"
    assert watch(daemon, 4) == {"standby"}
    server.start()
    eventually(lambda: status(daemon) == "active")


def resting(**recovery):
    """A model that fails its first request, and would then rest for an hour."""
    script = [{"error": 503}, {"reply": "well again"}]
    second = {"connector": "modelmesh.scripted.v1", "script": [{"reply": "second"}]}
    model = {"capabilities": ["chat-completion"]}
    return {
        "providers": {"first": {"connector": "modelmesh.scripted.v1", "script": script}, "second": second},
        "models": {"first.chat": {"provider": "first", **model}, "second.chat": {"provider": "second", **model}},
        "pools": {
            "chat": {
                "capability": "chat-completion",
                "retry": {"max_attempts": 1},
                "deactivation": {"retry_limit": 1},
                "recovery": {"cooldown": "1h", **recovery},
                "strategy": "priority-selection",
                "model_priority": ["first.chat", "second.chat"],
            }
        },
    }


def events(daemon, kind):
    return [event["ids"].get("model") for event in daemon.ask("GET", f"/mesh/v1/events?type={kind}")["data"]]


def test_a_model_that_rests_is_probed_and_comes_back_long_before_its_cooldown_is_over(meshd, eventually):
    daemon = meshd(resting(probe_interval="1s"))
    assert daemon.say(model="chat").mesh.model == "second.chat"
    eventually(lambda: daemon.say(model="chat").mesh.model == "first.chat")
    assert events(daemon, "model_activated") == ["first.chat"]


def test_a_start_finds_models_that_do_not_answer_before_an_app_does(meshd, eventually):
    daemon = meshd(resting(probe_on_start=True))
    eventually(lambda: events(daemon, "model_deactivated") == ["first.chat"])
    answered = daemon.say(model="chat").mesh
    assert (answered.model, len(answered.attempts)) == ("second.chat", 1)


def test_a_probe_that_is_answered_ends_a_models_own_rest(meshd, upstream, eventually):
    """One refused connection sets the model aside for an hour, and not its provider."""
    server = upstream([{"reply": "first"}])
    config = behind(server)
    config["pools"]["chat"] |= {
        "retry": {"max_attempts": 1},
        "deactivation": {"retry_limit": 1},
        "strategy": "priority-selection",
        "model_priority": ["first.chat", "second.chat"],
    }
    config["discovery"] = {"health": {"interval": "1s"}}
    daemon = meshd(config)
    server.kill()
    assert daemon.say(model="chat").mesh.model == "second.chat"

    def own():
        return daemon.ask("GET", "/mesh/v1/pools/chat")["models"][0]

    assert own()["status"] == "standby"
    server.start()
    eventually(lambda: own()["status"] == "probation", what="its cooldown ended, and a request may test it")
    assert daemon.say(model="chat").mesh.model == "first.chat"
    assert own()["status"] == "active"
