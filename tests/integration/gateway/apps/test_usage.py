"""Usage that cannot be true: what a real daemon counts, and that nothing breaks of it."""

from __future__ import annotations

import random

import pytest

import modelmesh
from tests.support.apps.spending import QUIET
from tests.support.daemons.pool_rule_cases import events
from tests.support.providers.faulty.odd_provider import OddProvider

PRICING = {"input_per_1m": 1, "output_per_1m": 10}
HUGE = ["18446744073709551615", "1e308", "-9223372036854775808", "99999999999999999999999999", "-1", "0"]
COUNTS = [*HUGE, '"12"', '"many"', "true", "null", "{}", "[1]", "12.5", '"1e308"', '"NaN"', '"-5"']


@pytest.fixture
def odd():
    provider = OddProvider()
    yield provider
    provider.close()


def config(odd, **options):
    return {
        "providers": {"odd": {"connector": "openai-compatible.v1", "base_url": odd.url}},
        "models": {
            "m": {
                "provider": "odd", "model": "m", "capabilities": ["chat-completion"], "pricing": PRICING,
                "constraints": {"context_window": 8000, "max_output_tokens": 1000},
            }
        },
        "pools": {"chat": {"models": ["m"], "budget": {"daily_limit": 5}}},
        **QUIET,
        **options,
    }  # fmt: skip


def spent(daemon):
    [row] = (row for row in daemon.ask("GET", "/mesh/v1/budget")["data"] if row["scope"] == "pool")
    return row["spent"], row["reserved"]


def object_of(**values: str) -> str:
    """JSON whose values are written already."""
    return "{" + ",".join(f'"{name}":{value}' for name, value in values.items()) + "}"


def usages():
    chance = random.Random(8)
    yield from ("null", "[]", '"none"', "7", "true", "{}")
    for count in COUNTS:
        yield object_of(prompt_tokens=count, completion_tokens=count, total_tokens=count)
        yield object_of(prompt_tokens=count)
        yield object_of(completion_tokens=count)
    names = ("prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "prompt_cache_hit_tokens")
    for _ in range(30):
        halves = {name: chance.choice(COUNTS) for name in names if chance.random() < 0.7}
        details = chance.choice(["null", "7", "[]", object_of(cached_tokens=chance.choice(COUNTS))])
        yield object_of(**halves, prompt_tokens_details=details)


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_whatever_a_provider_reports_no_budget_is_refilled_or_shut(meshd, odd, stream):
    daemon = meshd(config(odd))
    client = daemon.client()
    before = 0.0
    for usage in usages():
        arguments = {"model": "chat", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 500}
        answer = client.chat.completions.create(**arguments, user=usage, stream=stream)
        text = "".join(c.choices[0].delta.content or "" for c in answer if c.choices) if stream else (
            answer.choices[0].message.content)  # fmt: skip
        assert text == odd.text, usage
        after, reserved = spent(daemon)
        # 400 bytes of text are 25 tokens at least; no attempt may have cost more than the model can.
        assert before + 25 * 10e-6 <= after <= before + (8000 + 1000 * 10) * 1e-6 + 1e-9, usage
        assert reserved == 0.0
        before = after
    for by in ("model", "pool", "app"):
        for row in daemon.ask("GET", f"/mesh/v1/stats?by={by}")["data"]:
            assert all(row[name] >= 0 for name in ("tokens_in", "tokens_out", "tokens_cached", "cost_total"))
    daemon.kill()
    daemon.start()
    assert spent(daemon)[0] == pytest.approx(before)
    assert daemon.say(model="chat")


def test_what_was_replaced_is_said(meshd, odd):
    daemon = meshd(config(odd))
    client = daemon.client()
    asked = {"model": "chat", "messages": [{"role": "user", "content": "hi"}]}
    honest = client.chat.completions.create(**asked, user='{"prompt_tokens":9,"completion_tokens":100}')
    assert not hasattr(honest.mesh, "usage_replaced") or not honest.mesh.usage_replaced
    wrong = client.chat.completions.create(**asked, user='{"prompt_tokens":9,"completion_tokens":-100}')
    [said] = wrong.mesh.usage_replaced
    assert said.startswith("m: it reported a negative number of tokens of answer, which is impossible")
    [event] = events(daemon, "usage_replaced", model="m")
    assert event["changed"]["tokens_out"] == 200


def test_an_answer_that_was_cut_off_costs_what_it_was(meshd, odd):
    """By its report, else by its text: the provider made it, whatever the app is told."""
    daemon = meshd(config(odd))
    odd.finish = "error"
    before = 0.0
    for usage, tokens in (('{"prompt_tokens":9,"completion_tokens":100}', 9 + 100 * 10), ("null", 8 + 200 * 10)):
        daemon.ask("POST", "/mesh/v1/models/activate", {"id": "m"})
        with pytest.raises(modelmesh.MeshError):
            daemon.say(model="chat", user=usage)
        after = spent(daemon)[0]
        assert round((after - before) * 1e6) == tokens * len(odd.bodies)
        before = after
        odd.bodies.clear()
