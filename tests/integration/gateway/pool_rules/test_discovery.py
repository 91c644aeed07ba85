"""`discovery.sync` and `discovery.health` in a real daemon: what appears and goes at a provider, and how it is probed.

And the events that no other test of a pool's rules sees.
"""

from __future__ import annotations

import pytest

from tests.support.daemons.pool_rule_cases import Cases, events, member, provider

OFTEN = {"enabled": True, "interval": "1s"}


def listing(server, **sections):
    """A provider of which `models` names none."""
    return {
        "providers": {"up": server.provider()},
        "pools": {"chat": {"capability": "chat-completion"}},
        "discovery": {"health": {"enabled": False}, "local": {"enabled": False}, **sections},
    }


def ids(daemon):
    return [row["id"] for row in daemon.ask("GET", "/mesh/v1/pools/chat")["models"]]


def discover(daemon):
    return daemon.ask("POST", "/mesh/v1/discover")["data"]


@pytest.mark.parametrize(
    ("new", "gone", "left", "told"),
    [
        ("register", "deactivate", ["up.two"], True),
        ("notify", "notify", ["up.one"], True),
        ("ignore", "ignore", ["up.one"], False),
    ],
)
def test_what_happens_to_models_that_appear_and_go(meshd, upstream, eventually, new, gone, left, told):
    server = upstream({"models": ["one"]})
    daemon = meshd(listing(server, sync={"on_new_model": new, "on_deprecated_model": gone}))
    eventually(lambda: ids(daemon) == ["up.one"])
    server.play({"models": ["two"]})
    [row] = (row for row in discover(daemon) if row["provider"] == "up")
    assert (row["new"], row["gone"]) == (["two"], ["one"])
    eventually(lambda: ids(daemon) == left)
    found = events(daemon, "discovery_models_updated", provider="up")
    assert len(found) == told
    if told:
        assert (found[0]["changed"]["new"], found[0]["changed"]["gone"]) == (["two"], ["one"])
    if new == "register":
        eventually(lambda: events(daemon, "pool_membership_changed", pool="chat"))
        assert events(daemon, "pool_membership_changed", pool="chat")[0]["reason"].endswith("removed up.one")


def test_a_sync_comes_by_itself_and_of_the_named_providers_alone(meshd, upstream, eventually):
    server, other = upstream({"models": ["one"]}), upstream({"models": ["here"]})
    config = listing(server, sync={"interval": "1s", "providers": ["up"]})
    config["providers"]["other"] = other.provider()
    daemon = meshd(config)
    eventually(lambda: ids(daemon) == ["up.one"])
    server.play({"models": ["one", "two"]})
    eventually(lambda: ids(daemon) == ["up.one", "up.two"])


def test_models_that_are_named_are_all_there_is_unless_it_is_to_register_the_others(meshd, upstream, eventually):
    server = upstream({"models": ["one", "two"]})
    config = listing(server) | {"models": {"up.one": {"provider": "up"}}}
    daemon = meshd(config)
    discover(daemon)
    assert ids(daemon) == ["up.one"]
    config["discovery"]["sync"] = {"auto_register": True}
    daemon.write(config)
    assert daemon.ask("POST", "/mesh/v1/reload")["ok"]
    discover(daemon)
    eventually(lambda: ids(daemon) == ["up.one", "up.two"])


def test_so_many_failed_probes_make_a_provider_unavailable_and_one_answer_brings_it_back(meshd, upstream, eventually):
    server = upstream()
    cases = Cases(server)
    cases.case("probed")
    cases.config["discovery"]["health"] = {**OFTEN, "failure_threshold": 2, "providers": ["p-probed-a"]}
    cases.play()
    daemon = meshd(cases.config)
    eventually(lambda: provider(daemon, "p-probed-a")["last_probe"])
    assert provider(daemon, "p-probed-b")["last_probe"] is None
    server.kill()
    eventually(lambda: not provider(daemon, "p-probed-a")["available"])
    assert "it does not answer probes" in provider(daemon, "p-probed-a")["reason"]
    server.start()
    eventually(lambda: provider(daemon, "p-probed-a")["available"])
    changes = [event["changed"]["available"] for event in events(daemon, "provider_health_changed")]
    assert changes == [False, True]
    assert events(daemon, "provider_recovered", provider="p-probed-a")


def test_a_probe_by_completion_asks_for_one_token_and_counts(meshd, upstream, eventually):
    server = upstream()
    cases = Cases(server)
    cases.model("probed", {"reply": "x", "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
                pricing={"per_request": 0.01}, budget={"daily_limit": 0.02})  # fmt: skip
    cases.pool("chat", "probed")
    cases.config["discovery"]["health"] = {**OFTEN, "method": "completion"}
    cases.play()
    daemon = meshd(cases.config)
    eventually(lambda: daemon.model("probed")["cost"] == 0.02)
    eventually(lambda: provider(daemon, "p-probed")["last_probe"] and server.served["by_model"]["probed"] == 2)
    before = provider(daemon, "p-probed")["last_probe"]
    eventually(lambda: provider(daemon, "p-probed")["last_probe"] > before)  # by the list of models, which is free
    assert server.served["by_model"]["probed"] == 2, "none is sent to who is over budget"
    assert member(daemon, "chat", "probed")["status"] == "active"


def test_what_happens_to_the_daemon_itself(meshd, upstream, eventually):
    server = upstream()
    cases = Cases(server)
    cases.case("chat", {"tokens": ["one ", "two ", "three"], "fault": "reset", "after": 1})
    cases.play()
    daemon = meshd(cases.config)
    chunks = list(daemon.say(model="chat", stream=True))
    assert chunks[-1].mesh.continued == 1
    [event] = events(daemon, "stream_continued", pool="chat", model="chat-a")
    assert event["changed"] == {"pieces": 1}
    [rotated] = events(daemon, "model_rotated", pool="chat")
    assert rotated["changed"] == {"from": "chat-a", "to": "chat-b"}
    daemon.write({"pools": {"chat": {"modles": []}}})
    eventually(lambda: events(daemon, "config_rejected"))
    daemon.write(cases.config | {"daemon": {"max_queue": 7}})
    assert daemon.ask("POST", "/mesh/v1/reload")["ok"]
    eventually(lambda: events(daemon, "config_reloaded"))
    for kind in ("stream_continued", "model_rotated", "config_rejected", "config_reloaded"):
        [event] = events(daemon, kind)[:1]
        assert event["at_ns"] > 0
        assert event["type"] == kind
