"""An app that cancels its stream: the provider is let go within a second, and what came is paid for."""

from __future__ import annotations

import json
import time

import pytest

from modelmesh import protocol as wire
from tests.support.apps.stream_app import INPUT, OUTPUT, Money, priced

WORDS = [f"word{number} " for number in range(2000)]
LONG = {"tokens": WORDS, "chunk_delay": "5ms"}
MODELS = {
    "long": [LONG],
    "thinking": [{"reasoning": WORDS, "tokens": ["done"], "chunk_delay": "5ms"}],
    "silent": [{"fault": "silence"}],
    "breaking": [{"tokens": WORDS[:3], "after": 3, "fault": "reset"}],
    "stalling": [{"tokens": WORDS[:3], "after": 3, "fault": "silence"}],
}
POOLS = {"long": ["long"], "thinking": ["thinking"], "silent": ["silent"], "stalling": ["stalling"]}
POOLS["continued"] = ["breaking", "long"]


@pytest.fixture(scope="module")
def upstream_server(module_upstream):
    return module_upstream({"script": MODELS})


@pytest.fixture(scope="module")
def daemon(module_meshd, upstream_server):
    return module_meshd(
        {
            **priced(upstream_server, MODELS),
            "pools": {
                name: {
                    "models": [f"m-{model}" for model in models],
                    "strategy": "priority-selection",
                    "model_priority": [f"m-{model}" for model in models],
                    "retry": {"max_attempts": 1},
                }
                for name, models in POOLS.items()
            },
            "discovery": {"health": {"enabled": False}},
        }
    )


@pytest.mark.parametrize(
    ("pool", "chunks"), [("silent", 0), ("long", 1), ("long", 20), ("thinking", 20), ("stalling", 3), ("continued", 20)]
)
def test_the_upstream_is_let_go_within_a_second_and_paid_for(daemon, upstream_server, dial, eventually, pool, chunks):
    for model in POOLS[pool]:
        daemon.ask("POST", "/mesh/v1/models/activate", {"id": f"m-{model}"})
    money = Money(daemon, upstream_server, *POOLS[pool])
    before = upstream_server.served
    line = dial(daemon.socket)
    request_id = line.chat(model=pool, stream=True, credit=1000)
    received = [json.loads(line.receive(wire.CHUNK).body) for _ in range(chunks)]
    eventually(lambda: upstream_server.served["open"] == 1, what="it is asked")
    assert len({chunk["id"] for chunk in received}) == min(chunks, 1)
    started = time.monotonic()
    line.send(wire.CANCEL, request_id)
    eventually(lambda: upstream_server.served["open"] == 0, 1.0, "the upstream is let go")
    assert time.monotonic() - started < 1.0
    assert upstream_server.served["cancelled"] == before["cancelled"] + 1
    last = POOLS[pool][-1]
    eventually(lambda: daemon.model(f"m-{last}")["in_flight"] == 0, 1.0, "it is settled")
    of_the_last = chunks - (3 if pool == "continued" else 0)
    assert money.spent(last) >= INPUT + of_the_last * OUTPUT
    for model in POOLS[pool][:-1]:
        assert money.spent(model) >= money.delivered(model) > 0
