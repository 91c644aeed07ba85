"""Fields that may raise a price, in a real daemon: refused under a budget, left out where the pool says so."""

from __future__ import annotations

import json
import os

import pytest

from modelmesh import MeshError
from tests.support.apps.spending import QUIET
from tests.support.daemons.pool_rule_cases import explain
from tests.support.providers.faulty.odd_provider import OddProvider

PRICED = {"provider": "odd", "pricing": {"input_per_1m": 1, "output_per_1m": 10}}
SOUND = {"audio_input_per_1m": 20, "audio_output_per_1m": 100}


@pytest.fixture(scope="module")
def odd():
    provider = OddProvider()
    yield provider
    provider.close()


@pytest.fixture(scope="module")
def daemon(module_meshd, odd):
    budget = {"budget": {"daily_limit": 5}}
    return module_meshd({
        "providers": {"odd": {"connector": "openai-compatible.v1", "base_url": odd.url}},
        "models": {
            "priced": {**PRICED, "model": "m"},
            "thinker": {**PRICED, "model": "openai/gpt-5.4"},
            "free": {"provider": "odd", "model": "f", "pricing": {"input_per_1m": 0}},
            "hearer": {**PRICED, "pricing": {**PRICED["pricing"], **SOUND}, "model": "m"},
        },
        "pools": {
            "guarded": {"models": ["priced"], **budget},
            "stripped": {"models": ["priced"], "unpriced_fields": "strip", **budget},
            "open": {"models": ["priced"]},
            "thinking": {"models": ["thinker"], **budget},
            "gratis": {"models": ["free"], **budget},
            "hearing": {"models": ["hearer"], "unpriced_fields": "strip", **budget},
        },
        "apps": {"me": {"match": {"uid": os.getuid()}, "models": ["priced", "thinker", "free", "hearer"],
                        "admin": True}},
        **QUIET,
    })  # fmt: skip


def sent(daemon, odd, pool, **fields):
    daemon.say(model=pool, extra_body=fields)
    return odd.bodies[-1]


FIELDS = [{"service_tier": "priority"}, {"web_search_options": {}}, {"frobnicate": 1}, {"plugins": [{"id": "web"}]},
          {"modalities": ["text", "audio"]}, {"background": True}]  # fmt: skip


@pytest.mark.parametrize("fields", FIELDS, ids=lambda fields: next(iter(fields)))
def test_what_may_raise_a_price(daemon, odd, fields):
    [name] = fields
    assert sent(daemon, odd, "open", **fields)[name] == fields[name], "without a budget it passes"
    assert name not in sent(daemon, odd, "stripped", **fields)
    before = len(odd.bodies)
    with pytest.raises(MeshError) as caught:
        daemon.say(model="guarded", extra_body=fields)
    assert caught.value.status_code == 402
    assert f"`{name}` may raise the price" in str(caught.value)
    assert len(odd.bodies) == before
    told = explain(daemon, "guarded", **fields)
    assert f"`{name}` may raise the price" in str(told["error"])
    assert told["needs"]["unpriced_fields"] == [name]


def test_what_raises_none_passes_under_a_budget(daemon, odd):
    assert sent(daemon, odd, "guarded", service_tier="default", store=True, top_k=4)["service_tier"] == "default"
    assert sent(daemon, odd, "gratis", frobnicate=1)["frobnicate"] == 1


def test_an_apps_models_hold_for_every_name_in_a_body(daemon, odd):
    assert sent(daemon, odd, "open", models=["m"])["models"] == ["m"]
    with pytest.raises(MeshError) as caught:
        daemon.say(model="open", extra_body={"models": ["m", "other/dear"]})
    assert (caught.value.status_code, "other/dear" in str(caught.value)) == (403, True)


@pytest.mark.parametrize(
    "fields",
    [
        {"fallbacks": [{"small": ["other/dear"]}]},
        {"context_window_fallbacks": [{"m": ["m", "other/dear"]}]},
        {"models": [{"id": "other/dear"}]},
        {"Models": ["other/dear"]},
        {"fallback_model": "other/dear"},
        {"plugins": [{"id": "m", "analysis_models": ["other/dear"]}]},
        {"tools": [{"type": "subagent", "parameters": {"model": "other/dear"}}]},
        {"agent": {"model_id": "other/dear"}},
    ],
    ids=str,
)
def test_an_apps_models_hold_wherever_a_name_may_stand(daemon, fields):
    with pytest.raises(MeshError) as caught:
        daemon.say(model="open", extra_body=fields)
    assert (caught.value.status_code, "other/dear" in str(caught.value)) == (403, True)


def test_a_functions_own_words_name_no_model(daemon, odd):
    parameters = {"type": "object", "properties": {"model": {"type": "string", "enum": ["T-Ford"]}}}
    tools = [{"type": "function", "function": {"name": "buy", "parameters": parameters}}]
    assert sent(daemon, odd, "open", tools=tools)["tools"] == tools


def test_the_limit_that_is_added_has_the_name_that_the_model_takes(daemon, odd):
    assert sent(daemon, odd, "thinking")["max_completion_tokens"] == 4096
    assert "max_tokens" not in odd.bodies[-1]
    assert sent(daemon, odd, "guarded")["max_tokens"] == 4096
    assert sent(daemon, odd, "guarded", max_completion_tokens=7)["max_completion_tokens"] == 7
    assert "max_tokens" not in odd.bodies[-1]


def test_a_limit_that_was_added_and_refused_has_its_other_name(daemon, odd):
    """A deployment's name does not say which model it is: https://github.com/rcourtman/Pulse/pull/1867."""
    names = ["max_tokens", "max_completion_tokens"]
    for refused, taken in (names, names[::-1]):
        odd.refuses = {refused}
        odd.bodies.clear()
        daemon.say(model="guarded")
        list(daemon.say(model="guarded", stream=True))
        assert [[name for name in names if name in body] for body in odd.bodies] == [[refused], [taken], [taken]]
        assert odd.bodies[-1][taken] == 4096
        with pytest.raises(MeshError) as caught:  # the app's own is its own to change
            daemon.say(model="guarded", **{refused: 7})
        assert f"'{refused}' is not supported" in str(caught.value)
    odd.refuses = set(names)
    with pytest.raises(MeshError):
        daemon.say(model="guarded")
    odd.refuses = set()
    assert sent(daemon, odd, "guarded")["max_tokens"] == 4096


PART = {"type": "input_audio", "input_audio": {"data": "QUJD" * 40, "format": "wav"}}


def asking(content, **more):
    return [{"role": "user", "content": content, **more}]


@pytest.mark.parametrize("pool", ["guarded", "stripped"])
def test_sound_is_refused_under_a_budget(daemon, odd, pool):
    messages = asking([{"type": "text", "text": "what is said?"}, PART])
    sent(daemon, odd, "open", messages=messages)
    assert odd.bodies[-1]["messages"] == messages
    sent(daemon, odd, "gratis", messages=messages)
    before = len(odd.bodies)
    with pytest.raises(MeshError) as caught:
        daemon.say(model=pool, extra_body={"messages": messages})
    assert caught.value.status_code == 402
    assert "`messages[].content[].input_audio` may raise the price" in str(caught.value)
    assert len(odd.bodies) == before


def test_sound_is_paid_for_where_it_has_a_price(daemon, odd):
    spoken = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}
    usage = {
        "prompt_tokens": 100, "completion_tokens": 40, "total_tokens": 140,
        "prompt_tokens_details": {"audio_tokens": 90}, "completion_tokens_details": {"audio_tokens": 30},
    }  # fmt: skip
    odd.text = "x"
    more = {"messages": asking([PART]), "user": json.dumps(usage), "frobnicate": 1}
    answer = daemon.say(model="hearing", extra_body={**more, **spoken})
    assert odd.bodies[-1]["modalities"] == spoken["modalities"]
    assert odd.bodies[-1]["audio"] == spoken["audio"]
    assert "frobnicate" not in odd.bodies[-1]
    assert answer.mesh["cost"] == pytest.approx((10 * 1 + 90 * 20 + 10 * 10 + 30 * 100) / 1e6)


def test_what_is_unknown_in_a_message_is_left_out_where_the_pool_says_so(daemon, odd):
    messages = asking("hi", audio={"id": "a1"}, name="ann")
    with pytest.raises(MeshError):
        daemon.say(model="guarded", extra_body={"messages": messages})
    assert sent(daemon, odd, "stripped", messages=messages)["messages"] == asking("hi", name="ann")


@pytest.mark.parametrize(
    ("details", "cost"),
    [
        ({}, 2000),  # all of it may have been written
        ({"prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 100}}, 1100),
        ({"cache_creation_input_tokens": 0, "prompt_tokens_details": {"cached_tokens": 0}}, 1000),
    ],
)
def test_writes_to_a_cache_are_priced(daemon, odd, details, cost):
    usage = {"prompt_tokens": 1000, "completion_tokens": 1, "total_tokens": 1001, **details}
    odd.text = "x"
    messages = asking([{"type": "text", "text": "x" * 3000, "cache_control": {"type": "ephemeral"}}])
    answer = daemon.say(model="guarded", extra_body={"messages": messages, "user": json.dumps(usage)})
    assert odd.bodies[-1]["messages"] == messages
    assert answer.mesh["cost"] == pytest.approx((cost + 10) / 1e6)
