"""Half a surrogate pair in what an app asks, over the real socket: the provider gets it as it was written."""

from __future__ import annotations

import os

import pytest

from meshd.mesh import ModelMesh
from tests.support.apps.spending import QUIET
from tests.support.providers.faulty.odd_provider import OddProvider

HALF = "Elbe\ud83c"


@pytest.fixture(scope="module")
def odd():
    provider = OddProvider()
    yield provider
    provider.close()


@pytest.fixture(scope="module")
def daemon(module_meshd, odd):
    priced = {"provider": "odd", "pricing": {"input_per_1m": 1, "output_per_1m": 10}}
    budget = {"budget": {"daily_limit": 5}}
    return module_meshd({
        "providers": {
            "odd": {"connector": "openai-compatible.v1", "base_url": odd.url},
            "scripted": {"connector": "modelmesh.scripted.v1", "script": [{"echo": True}]},
        },
        "models": {"m": {**priced, "model": "m"}, "s": {"provider": "scripted", "capabilities": ["chat-completion"]}},
        "pools": {
            "open": {"models": ["m"]},
            "guarded": {"models": ["m"], **budget},
            "stripped": {"models": ["m"], "unpriced_fields": "strip", **budget},
        },
        "apps": {"me": {"match": {"uid": os.getuid()}, "admin": True}},
        **QUIET,
    })  # fmt: skip


@pytest.mark.parametrize("pool", ["open", "guarded"])
@pytest.mark.parametrize("stream", [False, True])
def test_it_reaches_the_provider(daemon, odd, pool, stream):
    messages = [
        {"role": "user", "content": HALF},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f"}}],
        },
        {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "\udf0d"}]},
    ]
    fields = {"messages": messages, "metadata": {"a": HALF}}
    said = daemon.say(model=pool, stream=stream, extra_body=fields)
    answer = list(said) if stream else said
    assert answer
    assert odd.bodies[-1]["messages"] == messages
    assert odd.bodies[-1]["metadata"] == {"a": HALF}


def test_what_is_left_out_under_a_budget_is_still_found(daemon, odd):
    messages = [{"role": "user", "content": HALF, "frobnicate": 1}]
    daemon.say(model="stripped", extra_body={"messages": messages, "service_tier": "priority"})
    assert "service_tier" not in odd.bodies[-1]
    assert odd.bodies[-1]["messages"] == [{"role": "user", "content": "Elbe\ufffd"}], "written again without the rest"


def test_it_hides_no_sound_from_a_budget(daemon, odd):
    part = {"type": "input_audio", "input_audio": {"data": "QUJD" * 40, "format": "wav"}}
    messages = [{"role": "user", "content": [{"type": "text", "text": HALF}, part]}]
    before = len(odd.bodies)
    with pytest.raises(Exception, match="input_audio"):
        daemon.say(model="guarded", extra_body={"messages": messages})
    assert len(odd.bodies) == before


def test_an_embedded_mesh_does_the_same(short, odd, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(short / "state"))
    provider = {"connector": "openai-compatible.v1", "base_url": odd.url}
    config = {"providers": {"odd": provider}, "models": {"m": {"provider": "odd", "model": "m"}}, **QUIET}
    mesh = ModelMesh()
    mesh.initialize({**config, "pools": {"open": {"models": ["m"]}}})
    try:
        with mesh.get_client() as client:
            client.chat.completions.create(model="open", messages=[{"role": "user", "content": HALF}])
    finally:
        mesh.shutdown()
    assert odd.bodies[-1]["messages"] == [{"role": "user", "content": HALF}]


def test_a_scripted_provider_reads_it(daemon):
    assert daemon.say(HALF, model="s").choices[0].message.content == "[scripted] Elbe\ufffd"
