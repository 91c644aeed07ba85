"""A provider that asks to be left alone: told as the reason, no longer than the longest rest, and over a restart."""

from __future__ import annotations

import pytest

import modelmesh

HOURS = 7200


def alone(server, *, cooldown="1s", max_cooldown="15m", **pool):
    """A sole model, which is set aside only when its provider asks for a pause."""
    return {
        "providers": {"sole": server.provider()},
        "models": {"sole.chat": {"provider": "sole", "model": "m", "capabilities": ["chat-completion"]}},
        "pools": {
            "chat": {
                "models": ["sole.chat"],
                "retry": {"max_attempts": 1},
                "recovery": {"cooldown": cooldown, "max_cooldown": max_cooldown},
                **pool,
            }
        },
        "daemon": {"queue_timeout": "300ms"},
        "discovery": {"health": {"enabled": False}, "sync": {"enabled": False}, "local": {"enabled": False}},
    }


def member(daemon):
    return daemon.ask("GET", "/mesh/v1/pools/chat")["models"][0]


def kept(daemon):
    """Whether what the provider asked for is on the disk."""
    return any(b"left_alone" in path.read_bytes() for path in daemon.state.glob("state.sqlite3*"))


def asked(server):
    return len(server.bill)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_wait_of_hours_is_a_reason_and_bounded_and_kept(meshd, upstream, eventually, status, how):
    server = upstream([{"error": status, "retry_after": HOURS, "message": "too busy"}, {"reply": "well again"}])
    daemon = meshd(alone(server))
    with pytest.raises(modelmesh.MeshError) as caught:
        daemon.say(model="chat")
    error = caught.value
    assert "its provider asked us to wait 2 h" in str(error)
    assert "asked again in 15 min" in str(error)
    assert 880 < error.retry_after <= 900

    def told() -> None:
        row = member(daemon)
        assert row["status"] == "standby"
        assert "asked us to wait 2 h" in row["reason"]
        assert 800 < row["recovers_in"] <= 900
        assert "asked us to" in daemon.model("sole.chat")["reason"]
        with pytest.raises(modelmesh.MeshError) as caught:
            daemon.say(model="chat")
        assert "asked us to wait" in str(caught.value) or "asked us to pause sole.chat" in str(caught.value)
        assert 800 < caught.value.retry_after <= 900
        assert asked(server) == 1, "it is left alone"

    told()
    if how == "killed":
        eventually(lambda: kept(daemon), what="it is on the disk")
        daemon.kill()
    else:
        daemon.stop()
    daemon.start()
    told()
    daemon.ask("POST", "/mesh/v1/models/activate", {"id": "sole.chat"})
    assert daemon.say(model="chat").choices[0].message.content == "well again"
    assert member(daemon)["status"] == "active"


def test_what_is_within_the_longest_rest_is_kept_to(meshd, upstream):
    server = upstream([{"error": 429, "retry_after": 60, "message": "too busy"}, {"reply": "well again"}])
    daemon = meshd(alone(server))
    with pytest.raises(modelmesh.RateLimitError) as caught:
        daemon.say(model="chat")
    assert "asked us to" not in str(caught.value)
    assert caught.value.retry_after == 60
    row = member(daemon)
    assert (row["status"], "asked us to pause" in row["reason"]) == ("active", True)
    assert 50 < row["recovers_in"] <= 60


def test_a_quota_rests_until_its_reset_however_far(meshd, upstream):
    server = upstream([{"error": 429, "retry_after": HOURS, "code": "insufficient_quota", "message": "no quota"}])
    daemon = meshd(alone(server))
    for _ in range(2):
        with pytest.raises(modelmesh.MeshError) as caught:
            daemon.say(model="chat")
        assert 7000 < caught.value.retry_after <= HOURS
        assert "no quota" in str(caught.value)
        daemon.stop()
        daemon.start()
    row = member(daemon)
    assert row["status"] == "standby"
    assert 7000 < row["recovers_in"] <= HOURS
    assert asked(server) == 1


def test_a_pool_that_does_not_honour_it_asks_again(meshd, upstream):
    server = upstream([{"error": 429, "retry_after": HOURS, "message": "too busy"}, {"reply": "well again"}])
    daemon = meshd(alone(server, retry={"max_attempts": 1, "honor_retry_after": False}))
    with pytest.raises(modelmesh.RateLimitError):
        daemon.say(model="chat")
    assert member(daemon)["status"] == "active"
    assert daemon.say(model="chat").choices[0].message.content == "well again"
