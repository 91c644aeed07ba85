"""Free tiers end to end: three providers with small daily allowances answer together what none could alone.

The upstreams are real and count for themselves: above its allowance each would answer 402, or 429 where it is the
provider's own word that says when a quota is used up. The midnight is a real one, of a timezone made for it.
"""

from __future__ import annotations

import asyncio
import time

import pytest

import modelmesh
from tests.support.daemons.clocks.midnight import zone_with_midnight_in

ALLOWANCES = {"one": 20, "two": 30, "three": 50}
TOTAL = sum(ALLOWANCES.values())
UNTIL_MIDNIGHT = 8.0  # s: the daemon starts within it, and a day's requests are answered
USED_UP = {"error": 402, "message": "you have used up your free tier", "code": "insufficient_quota"}
TOLD = {"error": 429, "message": "You exceeded your current quota", "code": "insufficient_quota"}


def script(name, refusal=USED_UP):
    """What the provider serves on one day."""
    return {"script": [{"reply": name, "times": ALLOWANCES[name]}, refusal]}


def config(servers, quota, **daemon):
    return {
        "providers": {name: server.provider(quota=quota(name)) for name, server in servers.items()},
        "models": {f"{name}.chat": {"provider": name, "capabilities": ["chat-completion"]} for name in servers},
        "pools": {"free": {"models": [f"{name}.chat" for name in servers]}},
        "discovery": {"health": {"enabled": False}, "sync": {"enabled": False}},
        "daemon": daemon,
    }


def configured(name):
    return {"requests": ALLOWANCES[name], "reset_schedule": "daily"}


def served(servers):
    return {name: server.served["served"] for name, server in servers.items()}


def refused(daemon, until=None):
    """The error of one request too many. until: the UTC s that it tells its app to come back at."""
    before = time.time()
    with pytest.raises(modelmesh.MeshError) as caught:
        daemon.say(model="free")
    if until is not None:
        assert time.time() < until, "the machine was too slow for this day"
        assert until - time.time() <= caught.value.retry_after <= until - before
    return caught.value


def new_day(servers, midnight, refusal=USED_UP):
    """Wait for it. The providers' day begins with ours."""
    time.sleep(max(midnight - time.time(), 0.0))  # the clock itself is waited for
    for name, server in servers.items():
        server.play(script(name, refusal))


@pytest.fixture
def servers(upstream):
    return {name: upstream(script(name)) for name in ALLOWANCES}


def all_at_once(daemon, count, **options):
    async def ask():
        client = daemon.async_client()
        try:
            return await asyncio.gather(
                *(
                    client.chat.completions.create(
                        model="free", messages=[{"role": "user", "content": "hi"}], **options
                    )
                    for _ in range(count)
                ),
                return_exceptions=True,
            )
        finally:
            await client.close()

    return asyncio.run(ask())


def test_every_allowance_is_used_to_its_last_request_and_is_back_after_midnight(meshd, servers, tmp_path):
    midnight = zone_with_midnight_in(UNTIL_MIDNIGHT, tmp_path)
    daemon = meshd(config(servers, configured, timezone="Test/Midnight"), env={"PYTHONTZPATH": str(tmp_path)})
    answers = [daemon.say(model="free") for _ in range(TOTAL)]
    assert [answer.mesh.provider for answer in answers] == ["one"] * 20 + ["two"] * 30 + ["three"] * 50
    error = refused(daemon, until=midnight)
    assert served(servers) == ALLOWANCES, "no provider was asked for more than it gives"
    assert (error.status_code, error.code) == (503, "no_active_model")
    for name, most in ALLOWANCES.items():
        assert f"provider {name}: it has used up {most} requests of the day; back in" in error.message
    rows = {row["name"]: row for row in daemon.ask("GET", "/mesh/v1/budget")["data"]}
    assert {name: (row["spent"], row["remaining"]) for name, row in rows.items()} == {
        name: (most, 0) for name, most in ALLOWANCES.items()
    }
    assert {round(row["resets_at"]) for row in rows.values()} == {midnight}

    new_day(servers, midnight)
    answers = all_at_once(daemon, TOTAL)
    assert [str(answer) for answer in answers if isinstance(answer, Exception)] == []
    assert served(servers) == ALLOWANCES
    refused(daemon, until=midnight + 86400)
    assert served(servers) == ALLOWANCES


def test_of_more_requests_at_once_than_there_are_allowances_exactly_those_are_answered(meshd, servers):
    daemon = meshd(config(servers, configured))
    answers = all_at_once(daemon, 2 * TOTAL)
    errors = [answer for answer in answers if isinstance(answer, modelmesh.MeshError)]
    assert len(errors) == TOTAL
    assert {error.code for error in errors} == {"no_active_model"}
    assert sorted(answer.mesh.provider for answer in answers if answer not in errors) == sorted(
        name for name, most in ALLOWANCES.items() for _ in range(most)
    )
    assert served(servers) == ALLOWANCES


def test_what_was_used_is_remembered_over_a_restart(meshd, servers):
    daemon = meshd(config(servers, configured))
    for _ in range(60):
        daemon.say(model="free")
    daemon.stop()
    daemon.start()
    for _ in range(TOTAL - 60):
        daemon.say(model="free")
    assert refused(daemon).code == "no_active_model"
    assert served(servers) == ALLOWANCES


def test_a_request_that_failed_is_no_hole_in_what_is_left(meshd, servers):
    """A request that the provider refused to serve counts for it or not: that is not ours to know, and it counts."""
    servers["one"].play({"script": [{"reply": "one", "times": 9}, {"error": 500}, {"reply": "one", "times": 99}]})
    daemon = meshd(config(servers, configured))
    answers = [daemon.say(model="free").mesh.provider for _ in range(TOTAL - 1)]
    assert {name: answers.count(name) for name in ALLOWANCES} == {"one": 19, "two": 30, "three": 50}
    assert refused(daemon).code == "no_active_model"
    assert served(servers) == ALLOWANCES


def test_the_providers_own_word_is_enough(meshd, upstream, tmp_path):
    """No quota is configured: each provider reports when it is used up, and is set aside until midnight."""
    servers = {name: upstream(script(name, TOLD)) for name in ALLOWANCES}
    midnight = zone_with_midnight_in(UNTIL_MIDNIGHT, tmp_path)
    daily = config(servers, lambda name: {"reset_schedule": "daily"}, timezone="Test/Midnight")
    daemon = meshd(daily, env={"PYTHONTZPATH": str(tmp_path)})
    answers = [daemon.say(model="free") for _ in range(TOTAL)]
    assert [answer.mesh.provider for answer in answers] == ["one"] * 20 + ["two"] * 30 + ["three"] * 50
    last = refused(daemon, until=midnight)
    assert isinstance(last, modelmesh.RateLimitError)
    assert last.status_code == 429
    assert last.message.startswith("The quota of provider three is used up; ask again in")
    error = refused(daemon, until=midnight)
    assert error.code == "no_active_model"
    assert served(servers) == {name: most + 1 for name, most in ALLOWANCES.items()}, "each refused once"

    new_day(servers, midnight, TOLD)
    answers = [daemon.say(model="free").mesh.provider for _ in range(TOTAL)]
    assert {name: answers.count(name) for name in ALLOWANCES} == ALLOWANCES
